"""Removed content and lost permissions take effect in every service: reads, answers and live streams."""

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


async def test_unpublished_content_is_hidden_from_the_student_and_the_tutor(
    installation: Installation,
) -> None:
    teacher, student, created_class = await _create_class(installation)
    lesson = await installation.create_taught_lesson(teacher, created_class, LICHEN)
    ids = {"class_id": created_class.class_id, "content_id": lesson.content_id}
    chat = await _chat(student, created_class)
    answer = await _ask(student, chat)
    assert [citation.excerpt in LICHEN for citation in answer.citations] == [True]
    assert (await student.contents.GetContent(GetContentRequest(**ids), **student.auth)).title == "Lesson"
    await teacher.contents.UnpublishContent(UnpublishContentRequest(**ids), **teacher.auth)
    read = student.contents.GetContent(GetContentRequest(**ids), **student.auth)
    assert (await expect_error(read)).code == "NOT_FOUND"
    answer = await _ask(student, chat)
    assert (list(answer.citations), answer.grounded) == ([], False)


async def test_every_service_rejects_a_removed_member_and_ends_the_streams(
    installation: Installation,
) -> None:
    teacher, student, created_class = await _create_class(installation)
    lesson = await installation.create_taught_lesson(teacher, created_class, LICHEN)
    chat = await _chat(student, created_class)
    session = await student.sessions.CreateSession(CreateSessionRequest(user_id="me"), **student.auth)
    own: dict[str, Any] = {"user_id": "me", "session_id": session.session_id}
    event = Event(client_event_id=new_id(), kind=EventKind.EVENT_KIND_CHECK)
    await student.events.AppendEvents(AppendEventsRequest(**own, events=[event]), **student.auth)
    watched = aiter(student.events.WatchEvents(WatchEventsRequest(**own), **student.auth))
    assert (await anext(watched)).event.client_event_id == event.client_event_id

    remove = RemoveMembershipRequest(class_id=created_class.class_id, user_id=student.tokens.user.user_id)
    await teacher.classes.RemoveMembership(remove, **teacher.auth)

    assert (await anext(watched)).HasField("error")
    assert (await expect_error(watched)).reason == "TOKEN_REVOKED"
    content = GetContentRequest(class_id=created_class.class_id, content_id=lesson.content_id)
    for attempt in (
        partial(student.contents.GetContent, content, **student.auth),
        partial(student.sessions.GetSession, GetSessionRequest(**own), **student.auth),
        partial(_ask, student, chat),
    ):
        assert (await eventually_error(attempt)).reason == "TOKEN_REVOKED"
    await student.refresh()
    after_refresh = await student.sessions.GetSession(GetSessionRequest(**own), **student.auth)
    assert after_refresh.session_id == session.session_id
    assert (
        await expect_error(student.contents.GetContent(content, **student.auth))
    ).code == "PERMISSION_DENIED"
    assert (await expect_error(_ask(student, chat))).code == "PERMISSION_DENIED"


async def _create_class(installation: Installation) -> tuple[Person, Person, Class]:
    """Creates a teacher, a student and the class of both."""
    teacher, student = await installation.sign_up_teacher(), await installation.sign_up_student()
    created_class = await installation.create_class(teacher)
    await installation.join_class(student, created_class)
    return teacher, student, created_class


async def _chat(student: Person, created_class: Class) -> Chat:
    request = CreateChatRequest(
        user_id="me", source=SourceMode.SOURCE_MODE_CLASS, class_id=created_class.class_id
    )
    return await student.chats.CreateChat(request, **student.auth)


async def _ask(student: Person, chat: Chat) -> Message:
    """Asks a question that the material answers, and returns the complete answer."""
    request = AskRequest(user_id="me", chat_id=chat.chat_id, text=QUESTION, request_id=new_id())
    steps = [step async for step in student.chats.Ask(request, **student.auth)]
    return steps[-1].done
