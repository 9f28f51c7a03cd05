"""Watching a session, over gRPC, on one process and on two."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from chassis.bell import Rung
from chassis.testing import House, refusal
from meno.session.v1.event_service_pb2 import WatchEventsResponse
from meno.session.v1.session_service_pb2 import ACTION_COMPLETE, ACTION_START_TOPIC, PHASE_COMPLETED
from session_service.events import servicer
from session_service.tests.conftest import Service, event, serving


@pytest.fixture
def only_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listeners look when it rings and never otherwise, so that a ring which is lost is seen."""
    monkeypatch.setattr(Rung.wait, "__defaults__", (3600.0,))


@pytest_asyncio.fixture
async def replica(house: House, service: Service) -> AsyncIterator[Service]:
    """A second process over the database of the first."""
    async with serving(house, service.database_url) as running:
        yield running


async def steps(stream: Any) -> list[WatchEventsResponse]:
    """What a stream still brings until it ends."""
    read: list[WatchEventsResponse] = []
    while (step := await stream.read()) is not grpc.aio.EOF:
        read.append(step)
    return read


async def test_a_watcher_gets_what_was_then_what_comes_then_the_end(
    service: Service, only_rings: None
) -> None:
    learner = service.learner()
    session = await service.begin(learner)
    added = await service.append(learner, session, [event(), event()])
    stream = service.watch(learner, session)
    assert [(await stream.read()).event for _ in range(2)] == added
    added += await service.append(learner, session, [event()])
    assert (await stream.read()).event == added[-1]
    ended = await service.apply(learner, session, ACTION_START_TOPIC, ACTION_COMPLETE)
    rest = await steps(stream)
    assert [step.WhichOneof("step") for step in rest] == ["event", "event", "done"]
    assert [step.event.sequence for step in rest[:2]] == [4, 5]
    assert (rest[-1].done, rest[-1].done.phase) == (ended, PHASE_COMPLETED)


async def test_a_watcher_goes_on_after_the_last_sequence_it_saw(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicer, "BATCH", 3)
    learner = service.learner()
    session = await service.begin(learner)
    await service.append(learner, session, [event() for _ in range(8)])
    await service.apply(learner, session, ACTION_START_TOPIC, ACTION_COMPLETE)
    history = await service.history(learner, session)
    for seen in range(12):
        *events, done = await steps(service.watch(learner, session, after_sequence=seen))
        assert [step.event for step in events] == history[seen:]
        assert done.HasField("done")


async def test_watchers_on_every_replica_see_each_event_once_in_order(
    service: Service, replica: Service, only_rings: None
) -> None:
    learner = service.learner()
    session = await service.begin(learner)
    await service.append(learner, session, [event() for _ in range(3)])
    watchers = [
        asyncio.create_task(steps(process.watch(learner, session)))
        for process in (service, replica)
        for _ in range(3)
    ]
    await asyncio.gather(
        *[
            process.append(learner, session, [event() for _ in range(1 + place % 4)])
            for process in (service, replica)
            for place in range(24)
        ]
    )
    await replica.apply(learner, session, ACTION_START_TOPIC, ACTION_COMPLETE)
    history = await service.history(learner, session)
    assert len(history) == 3 + 2 * 60 + 2
    for seen in await asyncio.gather(*watchers):
        assert [step.event for step in seen[:-1]] == history
        assert seen[-1].HasField("done")


async def test_an_event_wakes_a_watcher_on_another_replica(
    service: Service, replica: Service, only_rings: None
) -> None:
    learner = service.learner()
    session = await service.begin(learner)
    stream = replica.watch(learner, session)
    for _ in range(10):
        [added] = await service.append(learner, session, [event()])
        assert (await stream.read()).event == added
    stream.cancel()


async def test_a_deleted_session_ends_its_watchers(service: Service, only_rings: None) -> None:
    learner = service.learner()
    session = await service.begin(learner)
    await service.append(learner, session, [event()])
    stream = service.watch(learner, session)
    assert (await stream.read()).HasField("event")
    await service.delete(session)
    last = await stream.read()
    assert last.error.code == 5
    assert await reason_of_end(stream) == "SESSION_NOT_FOUND"


async def test_a_stream_ends_when_a_right_is_lost(service: Service, only_rings: None) -> None:
    learner = service.learner()
    session = await service.begin(learner)
    await service.append(learner, session, [event()])
    stream = service.watch(learner, session)
    await stream.read()
    service.house.feed.lose_rights(learner.user_id, 1)
    assert (await stream.read()).HasField("error")
    assert await reason_of_end(stream) == "RIGHTS_CHANGED"


async def test_a_stream_ends_with_its_token(service: Service, only_rings: None) -> None:
    learner = service.learner(lifetime=1)
    session = await service.begin(learner)
    stream = service.watch(learner, session)
    assert await reason_of_end(stream) == "TOKEN_EXPIRED"


async def reason_of_end(stream: Any) -> str:
    """Why a stream broke off."""
    with pytest.raises(grpc.aio.AioRpcError) as broken:
        await stream.read()
    return refusal(broken.value).reason
