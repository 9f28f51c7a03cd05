"""Chats and their messages, over gRPC."""

import asyncio
import uuid

import grpc
import psycopg
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import refused
from chat_service.tests.conftest import Person, Server, collect, rpc_error
from meno.chat.v1.chat_service_pb2 import (
    Chat,
    CreateChatRequest,
    GetChatRequest,
    ListChatsRequest,
    MessageRole,
    SourceMode,
)
from meno.content.v1.content_service_pb2 import Content, ContentKind

GENERAL = SourceMode.SOURCE_MODE_GENERAL


def an_id() -> str:
    return str(uuid.uuid4())


async def listed(server: Server, person: Person, page_size: int = 0) -> list[Chat]:
    """All pages of a person's chats."""
    request = ListChatsRequest(user_id="me", page_size=page_size)
    found: list[Chat] = []
    while True:
        page = await server.stub.ListChats(request, **person.auth)
        found += page.chats
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_a_lesson_chat_is_called_by_its_lesson(server: Server) -> None:
    class_id, content_id = an_id(), an_id()
    chat = await server.chat(server.person(class_id), class_id, content_id)
    assert (chat.title, chat.class_id, chat.content_id) == ("Loops", class_id, content_id)


async def test_a_given_title_comes_before_the_lessons(server: Server) -> None:
    class_id = an_id()
    request = CreateChatRequest(
        user_id="me",
        source=SourceMode.SOURCE_MODE_LESSON,
        class_id=class_id,
        content_id=an_id(),
        title="My own",
    )
    chat = await server.stub.CreateChat(request, **server.person(class_id).auth)
    assert chat.title == "My own"


async def test_a_lesson_that_is_not_to_be_seen_makes_no_chat(server: Server) -> None:
    class_id = an_id()
    person = server.person(class_id)
    server.library.error = rpc_error(grpc.StatusCode.UNAVAILABLE)
    denied = await refused(server.chat(person, class_id, an_id()))
    assert (denied.code, denied.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    assert await listed(server, person) == []


async def test_a_module_is_no_lesson(server: Server) -> None:
    class_id = an_id()
    server.library.lesson = Content(kind=ContentKind.CONTENT_KIND_MODULE, title="Week 1")
    denied = await refused(server.chat(server.person(class_id), class_id, an_id()))
    assert denied.detail(BadRequest).field_violations[0].field == "content_id"


async def test_outsiders_open_no_chat_of_a_class(server: Server) -> None:
    for content_id in ("", an_id()):
        denied = await refused(server.chat(server.person(an_id()), an_id(), content_id))
        assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_a_malformed_chat_is_refused(server: Server) -> None:
    person = server.person()
    for request in (
        CreateChatRequest(user_id="me", source=GENERAL, class_id=an_id()),
        CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_CLASS),
        CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_LESSON, class_id=an_id()),
        CreateChatRequest(user_id="me"),
        CreateChatRequest(user_id="me", source=GENERAL, title="x" * 201),
        CreateChatRequest(user_id="me", source=GENERAL, title="nul \0"),
    ):
        denied = await refused(server.stub.CreateChat(request, **person.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_twenty_concurrent_creations_with_one_request_id_make_one_chat(server: Server) -> None:
    person = server.person()
    request = CreateChatRequest(user_id="me", source=GENERAL, title="Once", request_id=an_id())
    answers = await asyncio.gather(*(server.stub.CreateChat(request, **person.auth) for _ in range(20)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert [chat.chat_id for chat in await listed(server, person)] == [answers[0].chat_id]


async def test_a_repeated_creation_is_answered_though_the_lesson_is_gone(server: Server) -> None:
    class_id = an_id()
    person = server.person(class_id)
    request = CreateChatRequest(
        user_id="me",
        source=SourceMode.SOURCE_MODE_LESSON,
        class_id=class_id,
        content_id=an_id(),
        request_id=an_id(),
    )
    first = await server.stub.CreateChat(request, **person.auth)
    server.library.lesson = Content(kind=ContentKind.CONTENT_KIND_MODULE, title="Week 1")
    assert await server.stub.CreateChat(request, **person.auth) == first
    server.library.error = rpc_error(grpc.StatusCode.UNAVAILABLE)
    assert await server.stub.CreateChat(request, **person.auth) == first
    left = server.again(person.user_id)
    assert await server.stub.CreateChat(request, **left.auth) == first
    request.title = "Another"
    assert (await refused(server.stub.CreateChat(request, **left.auth))).reason == "REQUEST_ID_REUSED"


async def test_chats_are_listed_with_the_one_used_last_first_and_its_last_message(server: Server) -> None:
    person = server.person()
    chats = [await server.chat(person) for _ in range(5)]
    for index in (3, 0):
        await collect(server.ask(person, chats[index], f"Question {index}"))
    found = await listed(server, person, page_size=2)
    assert [chat.chat_id for chat in found] == [chats[index].chat_id for index in (0, 3, 4, 2, 1)]
    assert [chat.last_message.text for chat in found] == ["It is so.", "It is so.", "", "", ""]
    assert found[0].last_message == (await server.messages(person, chats[0]))[-1]
    assert found[0].update_time.ToDatetime() > found[0].create_time.ToDatetime()
    assert not found[4].HasField("last_message")


async def test_a_chat_is_returned_with_its_last_message(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    await collect(server.ask(person, chat))
    request = GetChatRequest(user_id="me", chat_id=chat.chat_id)
    found = await server.stub.GetChat(request, **person.auth)
    assert found.last_message.sequence == 2
    found.ClearField("last_message")
    found.update_time.CopyFrom(chat.update_time)
    assert found == chat


async def test_messages_are_listed_in_their_order_without_gaps(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    for number in range(4):
        await collect(server.ask(person, chat, f"Question {number}"))
    found = await server.messages(person, chat, page_size=3)
    assert [message.sequence for message in found] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [message.text for message in found[::2]] == [f"Question {number}" for number in range(4)]
    assert [message.role for message in found[:2]] == [
        MessageRole.MESSAGE_ROLE_USER,
        MessageRole.MESSAGE_ROLE_ASSISTANT,
    ]


async def test_a_page_ends_before_it_outgrows_a_message_of_grpc(server: Server, database_url: str) -> None:
    person = server.person()
    chat = await server.chat(person)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO chat_messages (user_id, chat_id, sequence, role, text, status) SELECT %s, %s, n,"
            " 'USER', repeat('€', 10000), 'COMPLETED' FROM generate_series(1, 200) AS n",
            (person.user_id, chat.chat_id),
        )
    found = await server.messages(person, chat, page_size=1000)
    assert [message.sequence for message in found] == [*range(1, 201)]


async def test_a_chat_of_somebody_else_is_not_there(server: Server) -> None:
    owner, other = server.person(), server.person()
    chat = await server.chat(owner)
    [begun, *_] = await collect(server.ask(owner, chat))
    answer = begun.begun.message_id
    attempts = [
        server.stub.GetChat(GetChatRequest(user_id="me", chat_id=chat.chat_id), **other.auth),
        server.messages(other, chat),
        server.ask(other, chat),
        server.resume(other, chat, answer),
        server.stop(other, chat, answer),
    ]
    for attempt in attempts:
        denied = await refused(attempt)
        assert (denied.code, denied.reason) == ("NOT_FOUND", "CHAT_NOT_FOUND")
        assert denied.metadata == {"chat_id": chat.chat_id}
    assert await listed(server, other) == []


async def test_nobody_names_somebody_else_as_the_owner(server: Server) -> None:
    owner, other = server.person(), server.person()
    chat = await server.chat(owner)
    request = GetChatRequest(user_id=owner.user_id, chat_id=chat.chat_id)
    denied = await refused(server.stub.GetChat(request, **other.auth))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    assert (await refused(server.stub.GetChat(request))).reason == "TOKEN_MISSING"


async def test_a_deleted_chat_is_not_there(server: Server, database_url: str) -> None:
    person = server.person()
    chat = await server.chat(person)
    [begun, *_] = await collect(server.ask(person, chat))
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE chats SET deleted_at = now()")
    for attempt in (
        server.stub.GetChat(GetChatRequest(user_id="me", chat_id=chat.chat_id), **person.auth),
        server.messages(person, chat),
        server.ask(person, chat),
        server.resume(person, chat, begun.begun.message_id),
        server.stop(person, chat, begun.begun.message_id),
    ):
        assert (await refused(attempt)).reason == "CHAT_NOT_FOUND"
    assert await listed(server, person) == []
