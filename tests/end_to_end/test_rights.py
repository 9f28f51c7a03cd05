"""What is taken away is gone at once and everywhere: for the reader, for the tutor, for live streams."""

from functools import partial
from typing import Any

from chassis.testing import eventually_error, expect_error
from meno.chat.v1.chat_service_pb2 import AskRequest, CreateChatRequest
from meno.chat.v1.resources_pb2 import Chat, Message, SourceMode
from meno.content.v1.content_service_pb2 import GetContentRequest, UnpublishContentRequest
from meno.identity.v1.class_service_pb2 import RemoveMembershipRequest
from meno.identity.v1.resources_pb2 import Class
from meno.session.v1.event_service_pb2 import AppendEventsRequest, WatchEventsRequest
from meno.session.v1.resources_pb2 import Event, EventKind
from meno.session.v1.session_service_pb2 import CreateSessionRequest, GetSessionRequest
from tests.installation import Installation, new_id
from tests.people import Person

LICHEN = """# Lichen

## What it is

A lichen is a partnership of a fungus and an alga. The alga makes sugar from light, and the fungus
keeps it from drying out.
"""
QUESTION = "What is a lichen a partnership of?"


async def test_what_is_unpublished_is_gone_for_the_student_and_for_the_tutor(
    installation: Installation,
) -> None:
    teacher, student, made = await _classroom(installation)
    lesson = await installation.create_taught_lesson(teacher, made, LICHEN)
    where = {"class_id": made.class_id, "content_id": lesson.content_id}
    chat = await _chat(student, made)
    answer = await _ask(student, chat)
    assert [citation.excerpt in LICHEN for citation in answer.citations] == [True]
    assert (await student.contents.GetContent(GetContentRequest(**where), **student.auth)).title == "Lesson"
    await teacher.contents.UnpublishContent(UnpublishContentRequest(**where), **teacher.auth)
    read = student.contents.GetContent(GetContentRequest(**where), **student.auth)
    assert (await expect_error(read)).code == "NOT_FOUND"
    answer = await _ask(student, chat)
    assert (list(answer.citations), answer.grounded) == ([], False)


async def test_a_removed_member_is_refused_by_every_service_and_their_streams_end(
    installation: Installation,
) -> None:
    teacher, student, made = await _classroom(installation)
    lesson = await installation.create_taught_lesson(teacher, made, LICHEN)
    chat = await _chat(student, made)
    session = await student.sessions.CreateSession(CreateSessionRequest(user_id="me"), **student.auth)
    own: dict[str, Any] = {"user_id": "me", "session_id": session.session_id}
    event = Event(client_event_id=new_id(), kind=EventKind.EVENT_KIND_CHECK)
    await student.events.AppendEvents(AppendEventsRequest(**own, events=[event]), **student.auth)
    watched = aiter(student.events.WatchEvents(WatchEventsRequest(**own), **student.auth))
    assert (await anext(watched)).event.client_event_id == event.client_event_id

    remove = RemoveMembershipRequest(class_id=made.class_id, user_id=student.tokens.user.user_id)
    await teacher.classes.RemoveMembership(remove, **teacher.auth)

    assert (await anext(watched)).HasField("error")
    assert (await expect_error(watched)).reason == "TOKEN_REVOKED"
    content = GetContentRequest(class_id=made.class_id, content_id=lesson.content_id)
    for attempt in (
        partial(student.contents.GetContent, content, **student.auth),
        partial(student.sessions.GetSession, GetSessionRequest(**own), **student.auth),
        partial(_ask, student, chat),
    ):
        assert (await eventually_error(attempt)).reason == "TOKEN_REVOKED"
    await student.refresh()
    kept = await student.sessions.GetSession(GetSessionRequest(**own), **student.auth)
    assert kept.session_id == session.session_id
    assert (
        await expect_error(student.contents.GetContent(content, **student.auth))
    ).code == "PERMISSION_DENIED"
    assert (await expect_error(_ask(student, chat))).code == "PERMISSION_DENIED"


async def _classroom(installation: Installation) -> tuple[Person, Person, Class]:
    """A teacher, a student, and the class that they are in."""
    teacher, student = await installation.sign_up_teacher(), await installation.sign_up_student()
    made = await installation.create_class(teacher)
    await installation.join_class(student, made)
    return teacher, student, made


async def _chat(student: Person, made: Class) -> Chat:
    request = CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_CLASS, class_id=made.class_id)
    return await student.chats.CreateChat(request, **student.auth)


async def _ask(student: Person, chat: Chat) -> Message:
    """Asks what the material answers, and returns the whole answer."""
    request = AskRequest(user_id="me", chat_id=chat.chat_id, text=QUESTION, request_id=new_id())
    steps = [step async for step in student.chats.Ask(request, **student.auth)]
    return steps[-1].done
