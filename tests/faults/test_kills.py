"""Any process may be killed at any moment: what was acknowledged stays, and the next call works."""

import asyncio
import os
import signal

import grpc
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
from tests.people import Person

PROGRAMS = ("postgres", *SERVICES, "gateway")
GONE_WITHIN = 15
ROUNDS_AFTER = 15

pytestmark = pytest.mark.timeout(180)


class Learner:
    """Somebody who writes, one event after the other, and remembers what was acknowledged."""

    def __init__(self, person: Person, session: Session) -> None:
        self.person = person
        self.session = session
        self.acknowledged: list[str] = []
        self._progress = asyncio.Condition()

    async def write(self) -> None:
        """Writes for ever; what fails is sent again under the same ids."""
        while True:
            event = Event(client_event_id=new_id(), kind=EventKind.EVENT_KIND_CHECK)
            request = AppendEventsRequest(
                user_id="me", session_id=self.session.session_id, events=[event], request_id=new_id()
            )
            await self._until_acknowledged(request)
            async with self._progress:
                self.acknowledged.append(event.client_event_id)
                self._progress.notify_all()

    async def wrote(self, more: int) -> None:
        """Returns when so many more events were acknowledged."""
        wanted = len(self.acknowledged) + more
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.acknowledged) >= wanted)

    async def stored(self) -> list[str]:
        """What is in the session, in its order; its sequences have no gap."""
        found: list[Event] = []
        request = ListEventsRequest(user_id="me", session_id=self.session.session_id, page_size=1000)
        while True:
            page = await self.person.events.ListEvents(request, wait_for_ready=True, **self.person.auth)
            found += page.events
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        assert [event.sequence for event in found] == [*range(1, len(found) + 1)]
        return [event.client_event_id for event in found]

    async def _until_acknowledged(self, request: AppendEventsRequest) -> None:
        while True:
            try:
                await self.person.events.AppendEvents(
                    request, wait_for_ready=True, timeout=20, **self.person.auth
                )
                return
            except grpc.aio.AioRpcError as error:
                if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                    raise


@pytest_asyncio.fixture
async def learner(installation: Installation) -> Learner:
    person = await installation.sign_up_student()
    session = await person.sessions.CreateSession(CreateSessionRequest(user_id="me"), **person.auth)
    return Learner(person, session)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_killed_program_loses_nothing_and_the_next_call_works(
    layout: Layout, installation: Installation, learner: Learner, program: str
) -> None:
    teacher = await installation.sign_up_teacher()
    made = await installation.create_class(teacher)
    writing = asyncio.create_task(learner.write())
    await learner.wrote(5)
    killed = local_stack.kill(layout, program)
    await asyncio.to_thread(killed.wait, GONE_WITHIN)
    if program == "gateway":
        # What is sent into a connection that is gone, before its end is seen, is lost with it.
        await installation.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
    await _a_call_to_each(teacher, made)
    await learner.wrote(ROUNDS_AFTER)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    stored = await learner.stored()
    assert stored[: len(learner.acknowledged)] == learner.acknowledged
    assert len(set(stored)) == len(stored) <= len(learner.acknowledged) + 1
    restarted = local_stack.load_state(layout).programs[program]
    assert (restarted.pid != killed.pid, restarted.restarts > 0) == (True, True)


def test_a_service_has_the_time_that_it_takes_to_stop() -> None:
    chat = Settings.model_fields
    assert chat["drain_seconds"].default + chat["finish_seconds"].default < STOP_TIMEOUT_SECONDS


async def test_a_program_that_cannot_be_started_again_is_tried_until_it_can(layout: Layout) -> None:
    before = local_stack.load_state(layout).programs["session_service"]
    log = layout.log("session_service")
    kept = log.rename(log.with_suffix(".kept"))
    log.mkdir()
    local_stack.kill(layout, "session_service")
    await local_stack.wait_until(
        lambda: "starting session_service again" in layout.log("supervisor").read_text()
    )
    log.rmdir()
    kept.rename(log)
    await local_stack.wait_until(
        lambda: local_stack.load_state(layout).programs["session_service"].pid != before.pid
    )


async def test_programs_are_kept_though_what_runs_cannot_be_noted(layout: Layout) -> None:
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


async def test_killing_the_supervisor_leaves_nothing_and_up_recovers(
    layout: Layout, installation: Installation, learner: Learner
) -> None:
    before = local_stack.load_state(layout)
    programs = _programs(before)
    os.kill(before.supervisor, signal.SIGKILL)
    await asyncio.to_thread(_are_gone, programs)
    after, started = await _up(layout)
    assert (started, after.supervisor != before.supervisor) == (True, True)
    request = GetSessionRequest(user_id="me", session_id=learner.session.session_id)
    assert await learner.person.sessions.GetSession(request, **learner.person.auth) == learner.session


async def test_up_ends_what_a_supervisor_and_its_reaper_left_when_both_were_killed(layout: Layout) -> None:
    before = local_stack.load_state(layout)
    programs = _programs(before)
    supervisor = psutil.Process(before.supervisor)
    [reaper] = [child for child in supervisor.children() if "deploy.stack.reaper" in child.cmdline()]
    # A reaper that is killed alone is replaced.
    supervisor.suspend()
    reaper.kill()
    supervisor.kill()
    await asyncio.to_thread(supervisor.wait, GONE_WITHIN)
    _, started = await _up(layout)
    assert started
    await asyncio.to_thread(_are_gone, programs)


async def test_of_two_who_start_it_at_once_one_waits_for_the_other(layout: Layout) -> None:
    await asyncio.to_thread(control.down, layout)
    (one, started), (other, started_too) = await asyncio.gather(_up(layout), _up(layout))
    assert one.supervisor == other.supervisor
    assert {started, started_too} == {True, False}


async def test_up_while_it_is_stopped_waits_and_starts_it_again(layout: Layout) -> None:
    before = local_stack.load_state(layout)
    slow = psutil.Process(before.programs["chat_service"].pid)
    slow.suspend()
    down = asyncio.create_task(asyncio.to_thread(control.down, layout))
    await asyncio.to_thread(psutil.Process(before.programs["gateway"].pid).wait, GONE_WITHIN)
    up = asyncio.create_task(_up(layout))
    slow.resume()
    assert await down
    after, started = await up
    assert (started, after.supervisor != before.supervisor) == (True, True)


def _serving(supervisor: int) -> set[int]:
    """The processes of the chat service."""
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
    """Every process of the stack's programs."""
    processes = [psutil.Process(program.pid) for program in state.programs.values()]
    return processes + [child for process in processes for child in process.children(recursive=True)]


def _are_gone(processes: list[psutil.Process]) -> None:
    _, left = psutil.wait_procs(processes, GONE_WITHIN)
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


async def _a_call_to_each(teacher: Person, made: Class) -> None:
    """The next call to every service, made once: no client repeats it."""
    how = {"wait_for_ready": True, "timeout": 30, **teacher.auth}
    await teacher.users.GetUser(GetUserRequest(user_id="me"), **how)
    await teacher.contents.ListContents(ListContentsRequest(class_id=made.class_id), **how)
    await teacher.sessions.CreateSession(CreateSessionRequest(user_id="me"), **how)
    chat = CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_GENERAL)
    await teacher.chats.CreateChat(chat, **how)
