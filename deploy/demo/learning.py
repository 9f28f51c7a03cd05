"""Act two and three: a student joins, studies, and asks the tutor."""

import time
import tomllib
import uuid
from pathlib import Path
from typing import NamedTuple

from google.protobuf.struct_pb2 import Struct
from rich.console import Console
from rich.text import Text

from deploy.demo.people import Person
from deploy.demo.record import Disappointed
from deploy.demo.teaching import Lesson
from deploy.demo.typewriter import Typewriter
from meno.chat.v1.chat_service_pb2 import AskRequest, Chat, Citation, CreateChatRequest, Message, SourceMode
from meno.content.v1.content_service_pb2 import ListContentsRequest
from meno.content.v1.material_service_pb2 import GetChunkRequest
from meno.identity.v1.class_service_pb2 import JoinClassRequest
from meno.session.v1.event_service_pb2 import AppendEventsRequest, Event, EventKind
from meno.session.v1.session_service_pb2 import (
    SessionAction,
    ApplyActionRequest,
    CreateSessionRequest,
    Goal,
    SessionPhase,
    Session,
    SessionMode,
)

_ASKED = 3


class Questions(NamedTuple):
    """What the student asks."""

    answered: list[str]
    unanswered: str


def questions(file: Path) -> Questions:
    """The first questions of the course's own list."""
    listed = tomllib.loads(file.read_text())
    answered = [entry["question"] for entry in listed["answered"][:_ASKED]]
    return Questions(answered, listed["unanswered"][0]["question"])


async def join(student: Person, lesson: Lesson, console: Console) -> None:
    """Joins by the class code and looks around: what is not published is not there."""
    request = JoinClassRequest(user_id="me", join_code=lesson.of_class.join_code, request_id=_id())
    await student.record.call(student.classes.JoinClass, request, **student.auth)
    await student.refresh()
    listing = ListContentsRequest(class_id=lesson.of_class.class_id)
    seen = await student.record.call(student.contents.ListContents, listing, **student.auth)
    ids = {content.content_id for content in seen.contents}
    if lesson.hidden.content_id in ids or not {lesson.module.content_id, lesson.lesson.content_id} <= ids:
        raise Disappointed("the student does not see exactly what is published")
    console.print("  joined with the code; sees the published lesson, and not the draft beside it")


async def study(student: Person, lesson: Lesson, console: Console) -> Session:
    """Begins a session, takes it through its first phases, and records what happens."""
    request = CreateSessionRequest(
        user_id="me",
        mode=SessionMode.SESSION_MODE_TEACH_ME,
        goal=Goal(text="Understand why there are tides"),
        class_id=lesson.of_class.class_id,
        content_id=lesson.lesson.content_id,
        request_id=_id(),
    )
    session = await student.record.call(student.sessions.CreateSession, request, **student.auth)
    phases = [session.phase]
    for action in (SessionAction.SESSION_ACTION_GENERATE_PLAN, SessionAction.SESSION_ACTION_START_TOPIC):
        apply = ApplyActionRequest(
            user_id="me",
            session_id=session.session_id,
            action=action,
            state_version=session.state_version,
            request_id=_id(),
        )
        session = await student.record.call(student.sessions.ApplyAction, apply, **student.auth)
        phases.append(session.phase)
    names = [SessionPhase.Name(phase).removeprefix("PHASE_") for phase in phases]
    if names != ["INTAKE", "PLANNING", "LEARNING"]:
        raise Disappointed(f"the session went through {names}")
    payload = Struct()
    payload.update({"chapter": "What moves the sea"})
    kinds = (EventKind.EVENT_KIND_PRESENT, EventKind.EVENT_KIND_CHECK, EventKind.EVENT_KIND_ADVANCE)
    events = [Event(client_event_id=_id(), kind=kind, step=1, payload=payload) for kind in kinds]
    append = AppendEventsRequest(user_id="me", session_id=session.session_id, events=events, request_id=_id())
    appended = await student.record.call(student.events.AppendEvents, append, **student.auth)
    first, last = appended.events[0].sequence, appended.events[-1].sequence
    console.print(
        f"  session on [bold]{session.lesson_title}[/]: {' → '.join(names)}; events {first} to {last} appended"
    )
    return session


async def ask_all(student: Person, lesson: Lesson, asked: Questions, console: Console) -> Chat:
    """Opens a chat on the lesson and asks; every citation is followed to its words."""
    request = CreateChatRequest(
        user_id="me",
        source=SourceMode.SOURCE_MODE_LESSON,
        class_id=lesson.of_class.class_id,
        content_id=lesson.lesson.content_id,
        request_id=_id(),
    )
    chat = await student.record.call(student.chats.CreateChat, request, **student.auth)
    for question in asked.answered:
        answer = await _ask(student, chat, question, console)
        if not answer.citations:
            raise Disappointed(f"no citation for {question!r}")
        for citation in answer.citations:
            await _follow(student, citation, console)
    answer = await _ask(student, chat, asked.unanswered, console)
    if answer.grounded or answer.citations:
        raise Disappointed(f"{asked.unanswered!r} was answered although the material does not say")
    return chat


async def _ask(student: Person, chat: Chat, question: str, console: Console) -> Message:
    """Asks one question and prints the answer while it comes."""
    console.print(Text("  ? ", style="bold cyan") + Text(question, style="cyan"))
    printed = Typewriter(console)
    began = time.perf_counter()
    streamed = ""
    request = AskRequest(user_id="me", chat_id=chat.chat_id, text=question, request_id=_id())
    async for step in student.record.stream(student.chats.Ask, request, **student.auth):
        if step.HasField("text_delta"):
            if not streamed:
                student.record.first_text.append(1000 * (time.perf_counter() - began))
            streamed += step.text_delta
            printed.type(step.text_delta)
        if step.HasField("error"):
            raise Disappointed(step.error.message)
        if step.HasField("done"):
            printed.finish()
            if step.done.text != streamed:
                raise Disappointed("what was streamed is not what is stored")
            return step.done
    raise Disappointed("the stream of an answer was cut")


async def _follow(student: Person, citation: Citation, console: Console) -> None:
    """Resolves a citation, and holds its excerpt against the passage."""
    request = GetChunkRequest(
        class_id=citation.class_id,
        material_id=citation.material_id,
        revision_id=citation.revision_id,
        chunk_id=citation.chunk_id,
    )
    chunk = await student.record.call(student.materials.GetChunk, request, **student.auth)
    start = citation.char_start - chunk.char_start
    if chunk.text[start : start + len(citation.excerpt)] != citation.excerpt:
        raise Disappointed(f"citation {citation.number} does not stand where it says")
    student.record.citations += 1
    place = f"page {citation.page}" if citation.page else citation.section.rpartition(" › ")[2]
    where = f"    [{citation.number}] {citation.material_title}, {place}: "
    quoted = Text(f"{where}“{citation.excerpt}”".replace("\n", " "), style="dim")
    console.print(quoted, no_wrap=True, overflow="ellipsis")


def _id() -> str:
    return str(uuid.uuid4())
