"""Quotas of sessions and of their events: for users, and lower ones for guests."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
import pytest_asyncio
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import RetryInfo

from chassis.testing import TestEnvironment, execute_sql, expect_error
from meno.session.v1.event_service_pb2 import AppendEventsRequest
from meno.session.v1.resources_pb2 import (
    SESSION_ACTION_COMPLETE,
    SESSION_ACTION_START_TOPIC,
    SESSION_PHASE_COMPLETED,
    Event,
)
from meno.session.v1.session_service_pb2 import CreateSessionRequest
from session_service.tests.conftest import Learner, Service, event, serving

SESSIONS, GUEST_SESSIONS = 3, 2
MAX_BYTES, GUEST_MAX_BYTES = 128 << 10, 64 << 10


@pytest_asyncio.fixture
async def service(env: TestEnvironment, new_database: Callable[[str], str]) -> AsyncIterator[Service]:
    quotas = {
        "sessions_per_day": SESSIONS,
        "guest_sessions_per_day": GUEST_SESSIONS,
        "session_bytes": MAX_BYTES,
        "guest_session_bytes": GUEST_MAX_BYTES,
    }
    async with serving(env, new_database("session_service"), **quotas) as running:
        yield running


def large_event() -> Event:
    """Returns an event of 8 KiB, 8 of which are less than the limit of a guest, without its overhead."""
    payload = Struct()
    payload.update({"text": "x" * (8 * 1024 - len('{"text":""}'))})
    return event(payload=payload)


@pytest.mark.parametrize(("guest", "quota"), [(False, SESSIONS), (True, GUEST_SESSIONS)])
async def test_a_user_creates_only_so_many_sessions_in_a_day(
    service: Service, guest: bool, quota: int
) -> None:
    learner = service.learner(guest=guest)
    request_id = str(uuid.uuid4())
    first = await create(service, learner, request_id)
    for _ in range(quota - 1):
        await create(service, learner)
    error = await expect_error(create(service, learner))
    assert (error.reason, error.code) == ("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED")
    assert error.metadata == {"resources": "sessions", "quota": str(quota)}
    assert error.detail(RetryInfo).retry_delay.seconds == 3600
    assert await create(service, learner, request_id) == first
    await create(service, service.learner(guest=guest))


async def test_sessions_of_the_day_before_do_not_count(service: Service) -> None:
    learner = service.learner()
    for _ in range(SESSIONS):
        await create(service, learner)
    execute_sql(
        service.database_url,
        "UPDATE sessions SET session_id = uuidv7(interval '-25 hours') WHERE user_id = %s",
        learner.user_id,
    )
    await create(service, learner)


@pytest.mark.parametrize(("guest", "limit"), [(False, MAX_BYTES), (True, GUEST_MAX_BYTES)])
async def test_a_full_session_accepts_no_event_but_can_be_completed(
    service: Service, guest: bool, limit: int
) -> None:
    learner = service.learner(guest=guest)
    session = await service.create(learner)
    kept = [large_event() for _ in range(limit // (8 * 1024) - 1)]
    await service.append(learner, session, kept)
    error = await expect_error(service.append(learner, session, [large_event()]))
    assert (error.reason, error.code) == ("SESSION_FULL", "FAILED_PRECONDITION")
    assert error.metadata == {"session_id": session.session_id, "max_bytes": str(limit)}
    # Events that the session contains already need no room.
    assert [one.sequence for one in await service.append(learner, session, kept[:2])] == [1, 2]
    small = await service.append(learner, session, [event()])
    assert [one.sequence for one in small] == [len(kept) + 1]
    completed = await service.apply(learner, session, SESSION_ACTION_START_TOPIC, SESSION_ACTION_COMPLETE)
    assert completed.phase == SESSION_PHASE_COMPLETED


async def test_concurrent_appends_do_not_exceed_the_limit_of_a_session(service: Service) -> None:
    learner = service.learner(guest=True)
    session = await service.create(learner)
    request = AppendEventsRequest(user_id="me", session_id=session.session_id)
    calls = []
    for _ in range(20):
        batch = AppendEventsRequest(events=[large_event()])
        batch.MergeFrom(request)
        calls.append(service.events.AppendEvents(batch, **learner.auth))
    results = await asyncio.gather(*calls, return_exceptions=True)
    failed = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert {error.code() for error in failed} == {grpc.StatusCode.FAILED_PRECONDITION}
    stored = await service.history(learner, session)
    assert (len(stored), len(failed)) == (7, 13)
    [[counted]] = execute_sql(service.database_url, "SELECT event_bytes FROM sessions")
    assert counted == sum(8 * 1024 + 200 for _ in stored)


async def create(service: Service, learner: Learner, request_id: str = "") -> object:
    request = CreateSessionRequest(user_id="me", request_id=request_id)
    return await service.sessions.CreateSession(request, **learner.auth)
