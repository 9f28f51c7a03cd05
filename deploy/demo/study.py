"""Steps two and three: a student joins the class, studies, and asks the tutor."""

import time
import tomllib
import uuid
from pathlib import Path
from typing import NamedTuple

from google.protobuf.struct_pb2 import Struct
from rich.console import Console
from rich.text import Text

from deploy.demo.lesson import Lesson
from deploy.demo.recorder import ExpectationFailed
from deploy.demo.user import User
from deploy.demo.word_wrap import WordWrap
from meno.chat.v1.chat_service_pb2 import AskRequest, CreateChatRequest
from meno.chat.v1.resources_pb2 import Chat, Citation, Message, SourceMode
from meno.content.v1.content_service_pb2 import ListContentsRequest
from meno.content.v1.material_service_pb2 import GetChunkRequest
from meno.identity.v1.class_service_pb2 import JoinClassRequest
from meno.session.v1.event_service_pb2 import AppendEventsRequest
from meno.session.v1.resources_pb2 import (
    Event,
    EventKind,
    Goal,
    Session,
    SessionAction,
    SessionMode,
    SessionPhase,
)
from meno.session.v1.session_service_pb2 import ApplyActionRequest, CreateSessionRequest

_QUESTION_COUNT = 3


class Questions(NamedTuple):
    """The questions of the student."""

    answered: list[str]
    unanswered: str


def load_questions(file: Path) -> Questions:
    """Returns the first questions of the list that belongs to the course."""
    content = tomllib.loads(file.read_text())
    answered = [entry["question"] for entry in content["answered"][:_QUESTION_COUNT]]
    return Questions(answered, content["unanswered"][0]["question"])


async def join(student: User, lesson: Lesson, console: Console) -> None:
    """Joins the class with its code, and checks that exactly the published contents are listed.

    Raises ExpectationFailed if they are not.
    """
    request = JoinClassRequest(user_id="me", join_code=lesson.of_class.join_code, request_id=_request_id())
    await student.recorder.call(student.classes.JoinClass, request, **student.auth)
    await student.refresh()
    listing = ListContentsRequest(class_id=lesson.of_class.class_id)
    seen = await student.recorder.call(student.contents.ListContents, listing, **student.auth)
    ids = {content.content_id for content in seen.contents}
    if lesson.draft.content_id in ids or not {lesson.module.content_id, lesson.lesson.content_id} <= ids:
        raise ExpectationFailed("the student does not see exactly the published contents")
    console.print("  joined with the code; sees the published lesson but not the draft")


async def study(student: User, lesson: Lesson, console: Console) -> Session:
    """Starts a session, takes it through its first phases, and appends events.

    Raises ExpectationFailed if the phases differ from the expected ones.
    """
    request = CreateSessionRequest(
        user_id="me",
        mode=SessionMode.SESSION_MODE_TEACH_ME,
        goal=Goal(text="Understand why there are tides"),
        class_id=lesson.of_class.class_id,
        content_id=lesson.lesson.content_id,
        request_id=_request_id(),
    )
    session = await student.recorder.call(student.sessions.CreateSession, request, **student.auth)
    phases = [session.phase]
    for action in (SessionAction.SESSION_ACTION_GENERATE_PLAN, SessionAction.SESSION_ACTION_START_TOPIC):
        apply = ApplyActionRequest(
            user_id="me",
            session_id=session.session_id,
            action=action,
            state_version=session.state_version,
            request_id=_request_id(),
        )
        session = await student.recorder.call(student.sessions.ApplyAction, apply, **student.auth)
        phases.append(session.phase)
    names = [SessionPhase.Name(phase).removeprefix("SESSION_PHASE_") for phase in phases]
    if names != ["INTAKE", "PLANNING", "LEARNING"]:
        raise ExpectationFailed(f"the session went through the phases {names}")
    payload = Struct()
    payload.update({"chapter": "Every coast its own tide"})
    kinds = (EventKind.EVENT_KIND_PRESENT, EventKind.EVENT_KIND_CHECK, EventKind.EVENT_KIND_ADVANCE)
    events = [Event(client_event_id=_request_id(), kind=kind, step=1, payload=payload) for kind in kinds]
    append = AppendEventsRequest(
        user_id="me", session_id=session.session_id, events=events, request_id=_request_id()
    )
    appended = await student.recorder.call(student.events.AppendEvents, append, **student.auth)
    first, last = appended.events[0].sequence, appended.events[-1].sequence
    console.print(
        f"  session on [bold]{session.lesson_title}[/]: {' → '.join(names)}; events {first} to {last} appended"
    )
    return session


async def ask_all(student: User, lesson: Lesson, asked: Questions, console: Console) -> Chat:
    """Creates a chat on the lesson, asks the questions, and verifies every citation.

    Raises ExpectationFailed if an answer is not as expected.
    """
    request = CreateChatRequest(
        user_id="me",
        source=SourceMode.SOURCE_MODE_LESSON,
        class_id=lesson.of_class.class_id,
        content_id=lesson.lesson.content_id,
        request_id=_request_id(),
    )
    chat = await student.recorder.call(student.chats.CreateChat, request, **student.auth)
    for question in asked.answered:
        answer = await _ask(student, chat, question, console)
        if not answer.citations:
            raise ExpectationFailed(f"no citation for {question!r}")
        for citation in answer.citations:
            await _verify_citation(student, citation, console)
    answer = await _ask(student, chat, asked.unanswered, console)
    if answer.grounded or answer.citations:
        raise ExpectationFailed(
            f"{asked.unanswered!r} was answered, although the material does not contain the answer"
        )
    return chat


async def _ask(student: User, chat: Chat, question: str, console: Console) -> Message:
    """Asks a question and prints the answer while it is streamed. Returns the stored answer."""
    console.print(Text("  ? ", style="bold cyan") + Text(question, style="cyan"))
    output = WordWrap(console)
    began = time.perf_counter()
    streamed = ""
    request = AskRequest(user_id="me", chat_id=chat.chat_id, text=question, request_id=_request_id())
    async for step in student.recorder.stream(student.chats.Ask, request, **student.auth):
        if step.HasField("text_delta"):
            if not streamed:
                student.recorder.first_text_ms.append(1000 * (time.perf_counter() - began))
            streamed += step.text_delta
            output.write(step.text_delta)
        if step.HasField("error"):
            raise ExpectationFailed(step.error.message)
        if step.HasField("done"):
            output.finish()
            if step.done.text != streamed:
                raise ExpectationFailed("the streamed answer differs from the stored one")
            return step.done
    raise ExpectationFailed("the stream of an answer ended early")


async def _verify_citation(student: User, citation: Citation, console: Console) -> None:
    """Fetches the passage of a citation, and checks that it contains the excerpt at the cited position."""
    request = GetChunkRequest(
        class_id=citation.class_id,
        material_id=citation.material_id,
        revision_id=citation.revision_id,
        chunk_id=citation.chunk_id,
    )
    chunk = await student.recorder.call(student.materials.GetChunk, request, **student.auth)
    start = citation.char_start - chunk.char_start
    if chunk.text[start : start + len(citation.excerpt)] != citation.excerpt:
        raise ExpectationFailed(f"citation {citation.number} does not match its passage")
    student.recorder.citations += 1
    location = f"page {citation.page}" if citation.page else citation.section.rpartition(" › ")[2]
    prefix = f"    [{citation.number}] {citation.material_title}, {location}: "
    quoted = Text(f"{prefix}“{citation.excerpt}”".replace("\n", " "), style="dim")
    console.print(quoted, no_wrap=True, overflow="ellipsis")


def _request_id() -> str:
    return str(uuid.uuid4())
