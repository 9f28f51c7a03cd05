"""The revocation list that a process derives from the account feed."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc.util import urlsafe_b64encode

from chassis import revocation, tokens
from chassis.calls import Caller
from chassis.errors import ServiceUnavailable, TokenRevoked
from chassis.revocation import Position, RevocationList
from chassis.testing import TestEnvironment, bearer, eventually_error
from chassis.tests.conftest import Probe
from meno.access.v1.account_feed_service_pb2 import WatchAccountEventsResponse
from meno.access.v1.resources_pb2 import AccountEvent

EARLY, LATE = "018f0000-0000-7000-8000-000000000001", "018f0000-0000-7000-8000-000000000002"


def caller(**claims: Any) -> Caller:
    """Returns a caller with these claims and defaults."""
    defaults: dict[str, Any] = {
        "user_id": "me",
        "role": "STUDENT",
        "classes": {},
        "archived": {},
        "sign_in_id": "here",
        "rights_version": 1,
        "expires_at": time.time() + 300,
        "guest": False,
        "token": "",
    }
    return Caller(**{**defaults, **claims})


def lost(version: int, sequence: int = 7) -> WatchAccountEventsResponse:
    event = AccountEvent.RightsLost(user_id="me", rights_version=version)
    return WatchAccountEventsResponse(event=AccountEvent(sequence=sequence, rights_lost=event))


def heartbeat(sequence: int = 7) -> WatchAccountEventsResponse:
    return WatchAccountEventsResponse(heartbeat=WatchAccountEventsResponse.Heartbeat(sequence=sequence))


def key_retired(kid: str, sequence: int = 7) -> WatchAccountEventsResponse:
    event = AccountEvent.SigningKeyRetired(kid=kid)
    return WatchAccountEventsResponse(event=AccountEvent(sequence=sequence, signing_key_retired=event))


def signed_by(kid: str) -> str:
    """Returns a token whose header names this key. Its signature was verified before it is checked."""
    header = {"alg": tokens.ALGORITHM, "typ": tokens.TYPE, "kid": kid}
    return f"{urlsafe_b64encode(json.dumps(header).encode()).decode()}.claims.signature"


async def follow(*streams: list[WatchAccountEventsResponse]) -> tuple[RevocationList, list[Position]]:
    """Follows streams that break off, one after the other. Returns the list and the start of each stream."""
    followed, begun = RevocationList(), list[Position]()
    rest = iter(streams)
    ended = asyncio.Event()

    async def feed(after: Position) -> AsyncIterator[WatchAccountEventsResponse]:
        begun.append(after)
        for step in next(rest, []):
            yield step
        if len(begun) > len(streams):
            ended.set()
            await asyncio.Event().wait()
        raise ConnectionError

    following = asyncio.create_task(followed.follow(feed))
    await ended.wait()
    following.cancel()
    return followed, begun


@pytest.fixture(autouse=True)
def _no_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the delay before a feed is followed again."""
    monkeypatch.setattr(revocation, "RETRY_DELAY_SECONDS", 0.001)


async def test_a_broken_feed_is_resumed_from_its_last_position() -> None:
    followed, begun = await follow(
        [WatchAccountEventsResponse(epoch=EARLY), lost(2, sequence=7)],
        [WatchAccountEventsResponse(epoch=EARLY), heartbeat(9)],
    )
    assert begun == [Position(), Position(EARLY, 7), Position(EARLY, 9)]
    with pytest.raises(TokenRevoked):
        followed.check(caller(rights_version=1))
    followed.check(caller(rights_version=2))


async def test_a_feed_without_events_is_resumed_from_its_beginning() -> None:
    _, begun = await follow([WatchAccountEventsResponse(epoch=EARLY), heartbeat(0)])
    assert begun == [Position(), Position(EARLY, 0)]


async def test_a_feed_that_breaks_off_before_its_first_step_has_no_position() -> None:
    _, begun = await follow([WatchAccountEventsResponse(epoch=EARLY)])
    assert begun == [Position(), Position()]


async def test_revocations_of_another_epoch_are_forgotten() -> None:
    followed, begun = await follow(
        [WatchAccountEventsResponse(epoch=EARLY), lost(2, sequence=7), heartbeat(7)],
        [WatchAccountEventsResponse(epoch=LATE), heartbeat(3)],
    )
    assert begun[-1] == Position(LATE, 3)
    followed.check(caller(rights_version=1))


async def test_calls_are_refused_before_the_feed_was_followed() -> None:
    with pytest.raises(ServiceUnavailable):
        RevocationList().check(caller())


async def test_a_revocation_expires_when_no_valid_token_can_match_it(monkeypatch: pytest.MonkeyPatch) -> None:
    followed, _ = await follow([WatchAccountEventsResponse(epoch=EARLY), lost(2), heartbeat()])
    later = time.monotonic() + revocation.REPLAY_WINDOW.total_seconds() + 1
    # Only for this module: the event loop uses the same clock.
    monkeypatch.setattr(revocation, "time", SimpleNamespace(monotonic=lambda: later))
    followed._minimum_versions.set("another user", 1)
    assert "me" not in followed._minimum_versions


async def test_all_tokens_of_a_retired_key_are_revoked_in_every_epoch() -> None:
    followed, _ = await follow(
        [WatchAccountEventsResponse(epoch=EARLY), key_retired("leaked"), heartbeat(7)],
        [WatchAccountEventsResponse(epoch=LATE), heartbeat(3)],
    )
    # A forged token can contain any claim.
    with pytest.raises(TokenRevoked):
        followed.check(caller(rights_version=2**62, token=signed_by("leaked")))
    followed.check(caller(token=signed_by("successor")))


async def test_tokens_of_a_retired_key_that_were_accepted_before_are_rejected_and_their_streams_end(
    env: TestEnvironment, stub: Any, probe: Probe
) -> None:
    request, auth = probe.messages.EchoRequest(user_id="me"), bearer(env.issuer.token(str(uuid.uuid4())))
    await stub.Owner(request, **auth)
    watched = aiter(stub.Watch(request, **auth))
    assert (await anext(watched)).text == "first"
    env.feed.append(signing_key_retired=AccountEvent.SigningKeyRetired(kid=str(env.issuer.key.kid)))
    assert (await anext(watched)).HasField("error")
    # The key set that the service can fetch still contains the key.
    assert (await eventually_error(lambda: stub.Owner(request, **auth))).reason == "TOKEN_REVOKED"
