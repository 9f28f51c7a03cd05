"""WatchEvents, with one process and with two."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from chassis.database import Database
from chassis.testing import TestEnvironment, parse_error, wait_until
from meno.session.v1.event_service_pb2 import WatchEventsResponse
from meno.session.v1.resources_pb2 import (
    SESSION_ACTION_COMPLETE,
    SESSION_ACTION_START_TOPIC,
    SESSION_PHASE_COMPLETED,
)
from session_service.sessions.events import servicer, store
from session_service.sessions.events.types import EventRow
from session_service.tests.conftest import Service, event, serving


@pytest_asyncio.fixture
async def replica(env: TestEnvironment, service: Service) -> AsyncIterator[Service]:
    """A second process on the same database."""
    async with serving(env, service.database_url) as running:
        yield running


async def read_all(stream: Any) -> list[WatchEventsResponse]:
    """Returns the remaining messages of a stream."""
    read: list[WatchEventsResponse] = []
    while (step := await stream.read()) is not grpc.aio.EOF:
        read.append(step)
    return read


async def test_a_watch_stream_sends_past_events_then_new_events_then_the_completed_session(
    service: Service, without_polling: None
) -> None:
    learner = service.learner()
    session = await service.create(learner)
    added = await service.append(learner, session, [event(), event()])
    stream = service.watch(learner, session)
    assert [(await stream.read()).event for _ in range(2)] == added
    added += await service.append(learner, session, [event()])
    assert (await stream.read()).event == added[-1]
    ended = await service.apply(learner, session, SESSION_ACTION_START_TOPIC, SESSION_ACTION_COMPLETE)
    rest = await read_all(stream)
    assert [step.WhichOneof("step") for step in rest] == ["event", "event", "done"]
    assert [step.event.sequence for step in rest[:2]] == [4, 5]
    assert (rest[-1].done, rest[-1].done.phase) == (ended, SESSION_PHASE_COMPLETED)


async def test_a_watch_stream_resumes_after_any_sequence(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicer, "WATCH_BATCH_SIZE", 3)
    learner = service.learner()
    session = await service.create(learner)
    await service.append(learner, session, [event() for _ in range(8)])
    await service.apply(learner, session, SESSION_ACTION_START_TOPIC, SESSION_ACTION_COMPLETE)
    history = await service.history(learner, session)
    for seen in range(12):
        *events, done = await read_all(service.watch(learner, session, after_sequence=seen))
        assert [step.event for step in events] == history[seen:]
        assert done.HasField("done")


async def test_replays_take_turns_and_short_backlogs_do_not_wait(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = service.learner()
    long, short = await service.create(learner), await service.create(learner)
    await service.append(learner, long, [event() for _ in range(20)])
    added = await service.append(learner, short, [event()])
    list_after, resumed = store.list_after, asyncio.Event()
    reading = most = 0

    async def wait_in_replays(
        database: Database, user_id: str, session_id: str, *page: int
    ) -> list[EventRow]:
        nonlocal reading, most
        if session_id == long.session_id:
            reading += 1
            most = max(most, reading)
            await resumed.wait()
            reading -= 1
        return await list_after(database, user_id, session_id, *page)

    monkeypatch.setattr(store, "list_after", wait_in_replays)
    replays = [service.watch(learner, long) for _ in range(3)]
    await wait_until(lambda: reading)
    assert (await service.watch(learner, short).read()).event == added[0]
    resumed.set()
    assert [(await replay.read()).event.sequence for replay in replays] == [1, 1, 1]
    assert most == 1


async def test_watch_streams_on_two_replicas_send_each_event_once_in_order(
    service: Service, replica: Service, without_polling: None
) -> None:
    learner = service.learner()
    session = await service.create(learner)
    await service.append(learner, session, [event() for _ in range(3)])
    watchers = [
        asyncio.create_task(read_all(process.watch(learner, session)))
        for process in (service, replica)
        for _ in range(3)
    ]
    await asyncio.gather(
        *[
            process.append(learner, session, [event() for _ in range(1 + index % 4)])
            for process in (service, replica)
            for index in range(24)
        ]
    )
    await replica.apply(learner, session, SESSION_ACTION_START_TOPIC, SESSION_ACTION_COMPLETE)
    history = await service.history(learner, session)
    assert len(history) == 3 + 2 * 60 + 2
    for seen in await asyncio.gather(*watchers):
        assert [step.event for step in seen[:-1]] == history
        assert seen[-1].HasField("done")


async def test_an_event_is_sent_to_a_watch_stream_on_another_replica(
    service: Service, replica: Service, without_polling: None
) -> None:
    learner = service.learner()
    session = await service.create(learner)
    stream = replica.watch(learner, session)
    for _ in range(10):
        [added] = await service.append(learner, session, [event()])
        assert (await stream.read()).event == added
    stream.cancel()


async def test_deleting_a_session_ends_its_watch_streams(service: Service, without_polling: None) -> None:
    learner = service.learner()
    session = await service.create(learner)
    await service.append(learner, session, [event()])
    stream = service.watch(learner, session)
    assert (await stream.read()).HasField("event")
    await service.delete(session)
    last = await stream.read()
    assert last.error.code == 5
    assert await reason_of_end(stream) == "SESSION_NOT_FOUND"


async def test_a_watch_stream_ends_when_the_token_is_revoked(service: Service, without_polling: None) -> None:
    learner = service.learner()
    session = await service.create(learner)
    await service.append(learner, session, [event()])
    stream = service.watch(learner, session)
    await stream.read()
    service.env.feed.revoke_tokens(learner.user_id, 1)
    assert (await stream.read()).HasField("error")
    assert await reason_of_end(stream) == "TOKEN_REVOKED"


async def test_a_watch_stream_ends_when_the_token_expires(service: Service, without_polling: None) -> None:
    learner = service.learner(lifetime=1)
    session = await service.create(learner)
    stream = service.watch(learner, session)
    assert await reason_of_end(stream) == "TOKEN_EXPIRED"


async def reason_of_end(stream: Any) -> str:
    """Returns the error reason that a stream ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stream.read()
    return parse_error(error.value).reason
