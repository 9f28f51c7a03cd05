"""A killed program loses no acknowledged write, and the system answers again when the program is back.

A client of a restarting system gets UNAVAILABLE or the response. It repeats reads and writes with a request_id.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import psutil
import pytest
import pytest_asyncio
from rich.console import Console

from chat_service.settings import Settings
from deploy.stack import control
from deploy.stack.layout import SERVICES, Layout
from deploy.stack.state import STOP_TIMEOUT_SECONDS, State
from meno.chat.v1.chat_service_pb2 import CreateChatRequest
from meno.chat.v1.resources_pb2 import SourceMode
from meno.content.v1.content_service_pb2 import ListContentsRequest
from meno.identity.v1.resources_pb2 import Class
from meno.identity.v1.user_service_pb2 import GetUserRequest
from meno.session.v1.event_service_pb2 import AppendEventsRequest, ListEventsRequest
from meno.session.v1.resources_pb2 import Event, EventKind, Session
from meno.session.v1.session_service_pb2 import CreateSessionRequest, GetSessionRequest
from tests import local_stack
from tests.installation import Installation, new_id
from tests.local_stack import GUARD_SECONDS
from tests.people import Person
from tests.retries import repeat

PROGRAMS = ("postgres", *SERVICES, "gateway")
EVENTS_AFTER = 15

# Each test restarts programs of a stack; the first also starts the stack.
pytestmark = pytest.mark.timeout(600)


class Learner:
    """A user that appends one event after the other and records the acknowledged ones."""

    def __init__(self, person: Person, session: Session) -> None:
        self.person = person
        self.session = session
        self.acknowledged: list[str] = []
        self._progress = asyncio.Condition()

    async def write(self) -> None:
        """Appends events until the task is cancelled. A failed call is repeated with the same ids."""
        while True:
            event = Event(client_event_id=new_id(), kind=EventKind.EVENT_KIND_CHECK)
            request = AppendEventsRequest(
                user_id="me", session_id=self.session.session_id, events=[event], request_id=new_id()
            )
            await repeat(partial(self.person.events.AppendEvents, request, timeout=20, **self.person.auth))
            async with self._progress:
                self.acknowledged.append(event.client_event_id)
                self._progress.notify_all()

    async def wrote(self, more: int) -> None:
        """Returns when this number of further events is acknowledged."""
        wanted = len(self.acknowledged) + more
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.acknowledged) >= wanted)

    async def stored(self) -> list[str]:
        """Returns the event ids of the session in order. Fails if the sequences have a gap."""
        found: list[Event] = []
        request = ListEventsRequest(user_id="me", session_id=self.session.session_id, page_size=1000)
        while True:
            page = await repeat(partial(self.person.events.ListEvents, request, **self.person.auth))
            found += page.events
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        assert [event.sequence for event in found] == [*range(1, len(found) + 1)]
        return [event.client_event_id for event in found]


@pytest_asyncio.fixture(autouse=True)
async def recovered(layout: Layout) -> AsyncIterator[None]:
    """Waits after each test until the stack is ready again, because the next test calls it."""
    yield
    await local_stack.wait_until_ready(layout)


@pytest_asyncio.fixture
async def learner(installation: Installation) -> Learner:
    person = await installation.sign_up_student()
    session = await person.sessions.CreateSession(CreateSessionRequest(user_id="me"), **person.auth)
    return Learner(person, session)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_killed_program_loses_no_acknowledged_write_and_the_system_answers_again(
    layout: Layout, installation: Installation, learner: Learner, program: str
) -> None:
    teacher = await installation.sign_up_teacher()
    made = await installation.create_class(teacher)
    writing = asyncio.create_task(learner.write())
    await learner.wrote(5)
    killed = local_stack.kill(layout, program)
    await asyncio.to_thread(killed.wait, GUARD_SECONDS)
    await _call_every_service(teacher, made)
    await learner.wrote(EVENTS_AFTER)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    stored = await learner.stored()
    assert stored[: len(learner.acknowledged)] == learner.acknowledged
    assert len(set(stored)) == len(stored) <= len(learner.acknowledged) + 1
    restarted = local_stack.load_state(layout).programs[program]
    assert (restarted.pid != killed.pid, restarted.restarts > 0) == (True, True)


def test_the_stop_timeout_is_longer_than_the_drain_of_a_service() -> None:
    chat = Settings.model_fields
    assert chat["drain_seconds"].default + chat["finish_seconds"].default < STOP_TIMEOUT_SECONDS


async def test_a_program_that_cannot_be_restarted_is_retried(layout: Layout) -> None:
    before = local_stack.load_state(layout).programs["session_service"]
    log = layout.log("session_service")
    kept = log.rename(log.with_suffix(".kept"))
    log.mkdir()
    local_stack.kill(layout, "session_service")
    await local_stack.wait_until(
        lambda: "cannot restart session_service" in layout.log("supervisor").read_text()
    )
    log.rmdir()
    kept.rename(log)
    await local_stack.wait_until(
        lambda: local_stack.load_state(layout).programs["session_service"].pid != before.pid
    )


async def test_programs_are_restarted_although_the_state_cannot_be_saved(layout: Layout) -> None:
    supervisor = local_stack.load_state(layout).supervisor
    in_the_way = layout.state.with_suffix(".new")
    in_the_way.mkdir()
    noted = local_stack.load_state(layout).programs["chat_service"]
    local_stack.kill(layout, "chat_service")
    await local_stack.wait_until(lambda: _serving(supervisor) - {noted.pid} != set())
    [unnoted] = _serving(supervisor) - {noted.pid}
    in_the_way.rmdir()
    psutil.Process(unnoted).kill()
    await local_stack.wait_until(
        lambda: local_stack.load_state(layout).programs["chat_service"].pid not in {noted.pid, unnoted}
    )


async def test_a_killed_supervisor_leaves_no_process_and_up_recovers(
    layout: Layout, installation: Installation, learner: Learner
) -> None:
    before = local_stack.load_state(layout)
    programs = _programs(before)
    os.kill(before.supervisor, signal.SIGKILL)
    await _wait_until_gone(programs)
    after, started = await _up(layout)
    assert (started, after.supervisor != before.supervisor) == (True, True)
    request = GetSessionRequest(user_id="me", session_id=learner.session.session_id)
    get = partial(learner.person.sessions.GetSession, request, **learner.person.auth)
    assert await repeat(get) == learner.session


async def test_up_kills_the_programs_that_a_killed_supervisor_and_reaper_left(layout: Layout) -> None:
    before = local_stack.load_state(layout)
    programs = _programs(before)
    supervisor = psutil.Process(before.supervisor)
    [reaper] = [child for child in supervisor.children() if "deploy.stack.reaper" in child.cmdline()]
    # The suspended supervisor cannot replace the killed reaper.
    supervisor.suspend()
    reaper.kill()
    supervisor.kill()
    await asyncio.to_thread(supervisor.wait, GUARD_SECONDS)
    _, started = await _up(layout)
    assert started
    await _wait_until_gone(programs)


async def test_of_two_starts_during_a_stop_one_waits_for_the_other_and_both_for_the_stop(
    layout: Layout,
) -> None:
    before = local_stack.load_state(layout)
    slow = psutil.Process(before.programs["chat_service"].pid)
    slow.suspend()
    down = asyncio.create_task(asyncio.to_thread(control.down, layout))
    await asyncio.to_thread(psutil.Process(before.programs["gateway"].pid).wait, GUARD_SECONDS)
    starts = [asyncio.create_task(_up(layout)) for _ in range(2)]
    slow.resume()
    assert await down
    (one, started), (other, started_too) = await asyncio.gather(*starts)
    assert one.supervisor == other.supervisor != before.supervisor
    assert {started, started_too} == {True, False}


def _serving(supervisor: int) -> set[int]:
    """Returns the process ids of chat_service."""
    # A zombie has no command line.
    found = psutil.process_iter(["ppid", "cmdline"])
    return {
        process.pid
        for process in found
        if process.info["ppid"] == supervisor and "chat_service" in (process.info["cmdline"] or ())
    }


async def _up(layout: Layout) -> tuple[State, bool]:
    return await asyncio.to_thread(control.up, layout, Console(quiet=True))


def _programs(state: State) -> list[psutil.Process]:
    """Returns every process of the stack's programs."""
    processes = [psutil.Process(program.pid) for program in state.programs.values()]
    return processes + [child for process in processes for child in process.children(recursive=True)]


async def _wait_until_gone(processes: list[psutil.Process]) -> None:
    await local_stack.wait_until(lambda: all(map(_is_gone, processes)))


def _is_gone(process: psutil.Process) -> bool:
    """Returns whether a process has ended, also if its new parent has not reaped it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def _call_every_service(teacher: Person, made: Class) -> None:
    """Returns when every service has answered a call. The writes have a request_id, so that they can be repeated."""
    chat = CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_GENERAL, request_id=new_id())
    session = CreateSessionRequest(user_id="me", request_id=new_id())
    calls: list[tuple[Any, Any]] = [
        (teacher.users.GetUser, GetUserRequest(user_id="me")),
        (teacher.contents.ListContents, ListContentsRequest(class_id=made.class_id)),
        (teacher.sessions.CreateSession, session),
        (teacher.chats.CreateChat, chat),
    ]
    for method, request in calls:
        await repeat(partial(method, request, timeout=20, **teacher.auth))
