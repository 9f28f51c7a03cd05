"""Chats and their messages."""

import asyncio
import uuid

import grpc
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import execute_sql, expect_error, read_pages
from chat_service.tests.conftest import NewServer, Server, User, collect, rpc_error
from meno.chat.v1.chat_service_pb2 import CreateChatRequest, GetChatRequest, ListChatsRequest
from meno.chat.v1.resources_pb2 import Chat, MessageRole, SourceMode
from meno.content.v1.resources_pb2 import Content, ContentKind

GENERAL = SourceMode.SOURCE_MODE_GENERAL


def new_id() -> str:
    return str(uuid.uuid4())


async def list_chats(server: Server, user: User, page_size: int = 0) -> list[Chat]:
    """Returns all pages of the chats of a user."""
    request = ListChatsRequest(user_id="me", page_size=page_size)
    pages = read_pages(server.stub.ListChats, request, **user.auth)
    return [chat async for page in pages for chat in page.chats]


async def test_a_lesson_chat_gets_the_title_of_the_lesson(server: Server) -> None:
    class_id, content_id = new_id(), new_id()
    chat = await server.chat(server.user(class_id), class_id, content_id)
    assert (chat.title, chat.class_id, chat.content_id) == ("Loops", class_id, content_id)


async def test_a_requested_title_takes_precedence_over_the_title_of_the_lesson(server: Server) -> None:
    class_id = new_id()
    request = CreateChatRequest(
        user_id="me",
        source=SourceMode.SOURCE_MODE_LESSON,
        class_id=class_id,
        content_id=new_id(),
        title="My own",
    )
    chat = await server.stub.CreateChat(request, **server.user(class_id).auth)
    assert chat.title == "My own"


async def test_no_chat_is_created_while_content_service_is_unavailable(server: Server) -> None:
    class_id = new_id()
    user = server.user(class_id)
    server.content.error = rpc_error(grpc.StatusCode.UNAVAILABLE)
    denied = await expect_error(server.chat(user, class_id, new_id()))
    assert (denied.code, denied.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    assert await list_chats(server, user) == []


async def test_a_lesson_chat_about_a_module_is_refused(server: Server) -> None:
    class_id = new_id()
    server.content.lesson = Content(kind=ContentKind.CONTENT_KIND_MODULE, title="Week 1")
    denied = await expect_error(server.chat(server.user(class_id), class_id, new_id()))
    assert denied.detail(BadRequest).field_violations[0].field == "content_id"


async def test_only_class_members_can_create_a_class_chat(server: Server) -> None:
    for content_id in ("", new_id()):
        denied = await expect_error(server.chat(server.user(new_id()), new_id(), content_id))
        assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_a_malformed_chat_is_refused(server: Server) -> None:
    user = server.user()
    for request in (
        CreateChatRequest(user_id="me", source=GENERAL, class_id=new_id()),
        CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_CLASS),
        CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_LESSON, class_id=new_id()),
        CreateChatRequest(user_id="me"),
        CreateChatRequest(user_id="me", source=GENERAL, title="x" * 201),
        CreateChatRequest(user_id="me", source=GENERAL, title="nul \0"),
    ):
        denied = await expect_error(server.stub.CreateChat(request, **user.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_twenty_concurrent_creations_with_one_request_id_create_one_chat(server: Server) -> None:
    user = server.user()
    request = CreateChatRequest(user_id="me", source=GENERAL, title="Once", request_id=new_id())
    answers = await asyncio.gather(*(server.stub.CreateChat(request, **user.auth) for _ in range(20)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert [chat.chat_id for chat in await list_chats(server, user)] == [answers[0].chat_id]


async def test_a_repeated_creation_returns_the_first_response_although_the_lesson_is_gone(
    server: Server,
) -> None:
    class_id = new_id()
    user = server.user(class_id)
    request = CreateChatRequest(
        user_id="me",
        source=SourceMode.SOURCE_MODE_LESSON,
        class_id=class_id,
        content_id=new_id(),
        request_id=new_id(),
    )
    first = await server.stub.CreateChat(request, **user.auth)
    server.content.lesson = Content(kind=ContentKind.CONTENT_KIND_MODULE, title="Week 1")
    assert await server.stub.CreateChat(request, **user.auth) == first
    server.content.error = rpc_error(grpc.StatusCode.UNAVAILABLE)
    assert await server.stub.CreateChat(request, **user.auth) == first
    former_member = server.sign_in(user.user_id)
    assert await server.stub.CreateChat(request, **former_member.auth) == first
    request.title = "Another"
    assert (
        await expect_error(server.stub.CreateChat(request, **former_member.auth))
    ).reason == "REQUEST_ID_REUSED"


async def test_chats_are_listed_most_recently_used_first_with_their_last_message(server: Server) -> None:
    user = server.user()
    chats = [await server.chat(user) for _ in range(5)]
    for index in (3, 0):
        await collect(server.ask(user, chats[index], f"Question {index}"))
    found = await list_chats(server, user, page_size=2)
    assert [chat.chat_id for chat in found] == [chats[index].chat_id for index in (0, 3, 4, 2, 1)]
    assert [chat.last_message.text for chat in found] == ["It is so.", "It is so.", "", "", ""]
    assert found[0].last_message == (await server.messages(user, chats[0]))[-1]
    assert found[0].update_time.ToDatetime() > found[0].create_time.ToDatetime()
    assert not found[4].HasField("last_message")


async def test_a_chat_is_returned_with_its_last_message(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    await collect(server.ask(user, chat))
    request = GetChatRequest(user_id="me", chat_id=chat.chat_id)
    found = await server.stub.GetChat(request, **user.auth)
    assert found.last_message.sequence == 2
    found.ClearField("last_message")
    found.update_time.CopyFrom(chat.update_time)
    assert found == chat


async def test_messages_are_listed_in_order_without_gaps(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    for number in range(4):
        await collect(server.ask(user, chat, f"Question {number}"))
    found = await server.messages(user, chat, page_size=3)
    assert [message.sequence for message in found] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [message.text for message in found[::2]] == [f"Question {number}" for number in range(4)]
    assert [message.role for message in found[:2]] == [
        MessageRole.MESSAGE_ROLE_USER,
        MessageRole.MESSAGE_ROLE_ASSISTANT,
    ]


async def test_pages_stay_within_the_grpc_message_limit(server: Server, database_url: str) -> None:
    user = server.user()
    chat = await server.chat(user)
    execute_sql(
        database_url,
        "INSERT INTO chat_messages (user_id, chat_id, sequence, role, text, status) SELECT %s, %s, n,"
        " 'USER', repeat('€', 10000), 'COMPLETED' FROM generate_series(1, 200) AS n",
        *(user.user_id, chat.chat_id),
    )
    found = await server.messages(user, chat, page_size=1000)
    assert [message.sequence for message in found] == [*range(1, 201)]


async def test_a_chat_of_another_user_is_not_found(server: Server) -> None:
    owner, other = server.user(), server.user()
    chat = await server.chat(owner)
    [started, *_] = await collect(server.ask(owner, chat))
    answer = started.started.message_id
    attempts = [
        server.stub.GetChat(GetChatRequest(user_id="me", chat_id=chat.chat_id), **other.auth),
        server.messages(other, chat),
        server.ask(other, chat),
        server.resume(other, chat, answer),
        server.stop(other, chat, answer),
    ]
    for attempt in attempts:
        denied = await expect_error(attempt)
        assert (denied.code, denied.reason) == ("NOT_FOUND", "CHAT_NOT_FOUND")
        assert denied.metadata == {"chat_id": chat.chat_id}
    assert await list_chats(server, other) == []


async def test_access_under_the_user_id_of_another_user_is_denied(server: Server) -> None:
    owner, other = server.user(), server.user()
    chat = await server.chat(owner)
    request = GetChatRequest(user_id=owner.user_id, chat_id=chat.chat_id)
    denied = await expect_error(server.stub.GetChat(request, **other.auth))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    assert (await expect_error(server.stub.GetChat(request))).reason == "TOKEN_MISSING"


async def test_a_deleted_chat_is_not_found(server: Server, database_url: str) -> None:
    user = server.user()
    chat = await server.chat(user)
    [started, *_] = await collect(server.ask(user, chat))
    execute_sql(database_url, "UPDATE chats SET deleted_at = now()")
    for attempt in (
        server.stub.GetChat(GetChatRequest(user_id="me", chat_id=chat.chat_id), **user.auth),
        server.messages(user, chat),
        server.ask(user, chat),
        server.resume(user, chat, started.started.message_id),
        server.stop(user, chat, started.started.message_id),
    ):
        assert (await expect_error(attempt)).reason == "CHAT_NOT_FOUND"
    assert await list_chats(server, user) == []


async def test_a_user_creates_only_so_many_chats_in_a_day_and_a_guest_fewer(new_server: NewServer) -> None:
    server = await new_server(chats_per_day=3, guest_chats_per_day=2)
    for user, quota in ((server.user(), 3), (server.guest(), 2)):
        for _ in range(quota):
            await server.chat(user)
        error = await expect_error(server.chat(user))
        assert (error.reason, error.metadata) == (
            "QUOTA_EXCEEDED",
            {"resources": "chats", "quota": str(quota)},
        )
        assert len(await list_chats(server, user)) == quota
