"""The service that issues the tokens, as every other service stands to it.

They follow its keys and its account feed, and tell it what must be kept in one place.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from chassis import audit, data_rights, effects, idempotency, outbox
from chassis.bell import Bell
from chassis.database import Database
from chassis.effects import Effect
from chassis.interceptors import Guard
from chassis.outbox import Deliver, Relay
from chassis.rights import Feed, Position, Rights
from chassis.server import Background
from chassis.tokens import Tokens
from meno.access.v1.account_feed_service_pb2 import (
    ReportErasureRequest,
    WatchAccountEventsRequest,
    WatchAccountEventsResponse,
)
from meno.access.v1.account_feed_service_pb2_grpc import AccountFeedServiceStub
from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest
from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub

_TIMEOUT = 5.0


@dataclass(frozen=True)
class Authority:
    """Whom a service follows and tells."""

    guard: Guard
    """Judges calls by the authority's keys and feed."""
    feed: Feed
    """The whole account feed, for what it changes for good."""
    deliver: Mapping[str, Deliver]
    """How facts reach it, by their kind."""
    following: Sequence[Background] = field(default=())
    """The work that keeps the guard current."""

    def background(self, database: Database, bell: Bell, lasting: Mapping[str, Effect]) -> list[Background]:
        """The work of every service: it follows, applies the `lasting` effects, and tells its facts."""
        return [
            bell.run,
            *self.following,
            *([partial(effects.apply, database, self.feed, lasting)] if lasting else []),
            Relay(database, bell, self.deliver).run,
            partial(idempotency.purge, database),
        ]


def behind(
    channel: grpc.aio.Channel, secret: bytes, deliver: Mapping[str, Deliver] | None = None
) -> Authority:
    """The authority behind a channel; `deliver` has the kinds of facts that not every service tells."""
    keys = KeySetServiceStub(channel)

    async def fetch() -> Mapping[str, Any]:
        body = await keys.GetJsonWebKeys(GetJsonWebKeysRequest(), timeout=_TIMEOUT)
        document: Mapping[str, Any] = json.loads(body.data)
        return document

    tokens, rights = Tokens(fetch), Rights()
    recent = _feed(channel, WatchAccountEventsRequest())
    whole = WatchAccountEventsRequest(max_age=_duration(effects.FROM_THE_BEGINNING))
    return Authority(
        guard=Guard(tokens, rights, secret),
        feed=_feed(channel, whole),
        deliver={**_deliveries(channel), **(deliver or {})},
        following=[tokens.keep_fresh, partial(rights.follow, recent)],
    )


def _feed(channel: grpc.aio.Channel, request: WatchAccountEventsRequest) -> Feed:
    accounts = AccountFeedServiceStub(channel)

    def watch(after: Position) -> AsyncIterator[WatchAccountEventsResponse]:
        asked = WatchAccountEventsRequest(after_sequence=after.sequence, epoch=after.epoch)
        asked.MergeFrom(request)
        return aiter(accounts.WatchAccountEvents(asked))

    return watch


def _deliveries(channel: grpc.aio.Channel) -> dict[str, Deliver]:
    accounts = AccountFeedServiceStub(channel)
    return {
        audit.KIND: audit.deliver(channel),
        data_rights.ERASURE: outbox.requests(accounts.ReportErasure, ReportErasureRequest),
    }


def _duration(age: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(age)
    return duration
