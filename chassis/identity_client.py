"""The connection of a service to identity_service: signing keys, account feed and outbox messages."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import grpc
from google.protobuf.duration_pb2 import Duration

from chassis import audit, data_rights, feed_consumer, idempotency, outbox
from chassis.background import BackgroundTask
from chassis.database import Database
from chassis.feed_consumer import EventHandler
from chassis.notifications import Notifier
from chassis.outbox import MessageHandler, Relay
from chassis.revocation import Feed, Position, RevocationList
from chassis.security import SecurityContext
from chassis.tokens import Tokens
from meno.access.v1.account_feed_service_pb2 import (
    ReportErasureRequest,
    WatchAccountEventsRequest,
    WatchAccountEventsResponse,
)
from meno.access.v1.account_feed_service_pb2_grpc import AccountFeedServiceStub
from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest
from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub

_RPC_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class IdentityClient:
    """The connection of one process to identity_service, remote or (in identity_service) in process."""

    security: SecurityContext
    feed: Feed
    """The account feed with all its history, for durable effects."""
    message_handlers: Mapping[str, MessageHandler]
    """The deliveries of outbox messages, by kind."""
    followers: Sequence[BackgroundTask] = field(default=())
    """The background tasks that keep `security` current."""

    def background_tasks(
        self, database: Database, notifier: Notifier, handlers: Mapping[str, EventHandler]
    ) -> list[BackgroundTask]:
        """Returns the background tasks that every service runs. `handlers` apply account events by kind."""
        return [
            notifier.run,
            *self.followers,
            *([partial(feed_consumer.consume, database, self.feed, handlers)] if handlers else []),
            Relay(database, notifier, self.message_handlers).run,
            partial(idempotency.purge, database),
        ]


def connect(
    channel: grpc.aio.Channel, secret: bytes, message_handlers: Mapping[str, MessageHandler] | None = None
) -> IdentityClient:
    """Connects to identity_service over a channel.

    `message_handlers` deliver the kinds of outbox messages that not every service sends.
    """
    keys = KeySetServiceStub(channel)

    async def fetch() -> Mapping[str, object]:
        body = await keys.GetJsonWebKeys(GetJsonWebKeysRequest(), timeout=_RPC_TIMEOUT_SECONDS)
        document: Mapping[str, object] = json.loads(body.data)
        return document

    tokens, revocations = Tokens(fetch), RevocationList()
    recent = _feed(channel, WatchAccountEventsRequest())
    all_history = WatchAccountEventsRequest(max_age=_duration(feed_consumer.ALL_HISTORY))
    return IdentityClient(
        security=SecurityContext(tokens, revocations, secret),
        feed=_feed(channel, all_history),
        message_handlers={**_common_handlers(channel), **(message_handlers or {})},
        followers=[tokens.keep_fresh, partial(revocations.follow, recent)],
    )


def _feed(channel: grpc.aio.Channel, request: WatchAccountEventsRequest) -> Feed:
    stub = AccountFeedServiceStub(channel)

    def watch(after: Position) -> AsyncIterator[WatchAccountEventsResponse]:
        positioned = WatchAccountEventsRequest(after_sequence=after.sequence, epoch=after.epoch)
        positioned.MergeFrom(request)
        return aiter(stub.WatchAccountEvents(positioned))

    return watch


def _common_handlers(channel: grpc.aio.Channel) -> dict[str, MessageHandler]:
    stub = AccountFeedServiceStub(channel)
    return {
        audit.KIND: audit.message_handler(channel),
        data_rights.ERASURE: outbox.rpc_handler(stub.ReportErasure, ReportErasureRequest),
    }


def _duration(age: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(age)
    return duration
