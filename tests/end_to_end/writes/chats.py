"""Writes to chats and answers."""

from typing import Any

from meno.chat.v1.chat_service_pb2 import (
    AskRequest,
    CreateChatRequest,
    ListChatsRequest,
    ListMessagesRequest,
    StopAnswerRequest,
)
from meno.chat.v1.resources_pb2 import Chat, SourceMode
from tests.end_to_end.writes.case import Cases
from tests.installation import Installation
from tests.people import Person

CASES = Cases()


@CASES.of("CreateChat")
async def _create_chat(installation: Installation) -> Any:
    student = await installation.sign_up_student()

    async def count() -> int:
        listed = await student.chats.ListChats(ListChatsRequest(user_id="me"), **student.auth)
        return len(listed.chats)

    request = CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_GENERAL)
    return (student.chats.CreateChat, request, student), count


async def _new_chat(student: Person) -> Chat:
    request = CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_GENERAL)
    return await student.chats.CreateChat(request, **student.auth)


@CASES.of("Ask")
async def _ask(installation: Installation) -> Any:
    student = await installation.sign_up_student()
    chat = await _new_chat(student)

    async def count() -> int:
        request = ListMessagesRequest(user_id="me", chat_id=chat.chat_id)
        return len((await student.chats.ListMessages(request, **student.auth)).messages) // 2

    return (student.chats.Ask, AskRequest(user_id="me", chat_id=chat.chat_id, text="Why?"), student), count


@CASES.of("StopAnswer")
async def _stop(installation: Installation) -> Any:
    student = await installation.sign_up_student()
    chat = await _new_chat(student)
    request = AskRequest(user_id="me", chat_id=chat.chat_id, text="Why?")
    async for step in student.chats.Ask(request, **student.auth):
        if step.HasField("started"):
            message_id = step.started.message_id
    stop = StopAnswerRequest(user_id="me", chat_id=chat.chat_id, message_id=message_id)
    return (student.chats.StopAnswer, stop, student), None
