"""Keys and account feed of the service that issues the tokens, as every other service follows them."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from chassis.interceptors import Guard
from chassis.rights import REPLAY, Rights
from chassis.server import Background
from chassis.tokens import Tokens
from meno.access.v1.account_feed_service_pb2 import WatchAccountEventsRequest, WatchAccountEventsResponse
from meno.access.v1.account_feed_service_pb2_grpc import AccountFeedServiceStub
from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest
from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub

_TIMEOUT = 5.0


def follow(channel: grpc.aio.Channel, secret: bytes) -> tuple[Guard, list[Background]]:
    """A guard that judges by the authority behind `channel`, and the work that keeps it current."""
    keys = KeySetServiceStub(channel)
    accounts = AccountFeedServiceStub(channel)

    async def fetch() -> Mapping[str, Any]:
        body = await keys.GetJsonWebKeys(GetJsonWebKeysRequest(), timeout=_TIMEOUT)
        document: Mapping[str, Any] = json.loads(body.data)
        return document

    def feed(after_sequence: int) -> AsyncIterator[WatchAccountEventsResponse]:
        max_age = Duration()
        max_age.FromTimedelta(REPLAY)
        request = WatchAccountEventsRequest(after_sequence=after_sequence, max_age=max_age)
        return aiter(accounts.WatchAccountEvents(request))

    tokens, rights = Tokens(fetch), Rights()

    async def follow_feed() -> None:
        await rights.follow(feed)

    return Guard(tokens, rights, secret), [tokens.keep_fresh, follow_feed]
