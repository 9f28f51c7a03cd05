"""The chat and message methods of ChatService. `answers.servicer` has the other methods."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf.message import Message as AnyMessage

from chassis import paging
from chassis.calls import Context
from chassis.database import Database
from chassis.quotas import Quota
from chat_service.chats import commands, message_store, messages, store
from chat_service.chats.types import NewChat
from chat_service.content import GetContent
from chat_service.errors import ChatNotFound
from meno.chat.v1.chat_service_pb2 import (
    CreateChatRequest,
    GetChatRequest,
    ListChatsRequest,
    ListChatsResponse,
    ListMessagesRequest,
    ListMessagesResponse,
)
from meno.chat.v1.resources_pb2 import Chat

Row = TypeVar("Row")
Built = TypeVar("Built", bound=AnyMessage)


class ChatServicer:
    """Serves chats and their messages."""

    def __init__(self, database: Database, get_content: GetContent, per_day: Quota) -> None:
        """`per_day` limits the number of chats that a user creates in 24 hours."""
        self._database = database
        self._per_day = per_day
        self._get_content = get_content

    async def CreateChat(self, request: CreateChatRequest, context: Context) -> Chat:
        chat = NewChat(
            user_id=request.user_id,
            source=messages.SOURCES.name(request.source),
            class_id=request.class_id or None,
            content_id=request.content_id or None,
            title=request.title,
        )
        return await commands.create_chat(self._database, self._get_content, chat, self._per_day.of_caller())

    async def GetChat(self, request: GetChatRequest, context: Context) -> Chat:
        row = await store.get(self._database, request.user_id, request.chat_id)
        if row is None:
            raise ChatNotFound(request.chat_id)
        return messages.to_chat(row)

    async def ListChats(self, request: ListChatsRequest, context: Context) -> ListChatsResponse:
        before, before_id = paging.decode_page_token(request, (paging.MAX_TIMESTAMP, paging.MAX_UUID))
        limit = paging.size(request) + 1
        rows = await store.list_by_user(self._database, request.user_id, before, before_id, limit)
        chats, next_page_token = _page(
            request, rows, messages.to_chat, lambda row: (row.updated_at, row.chat_id)
        )
        return ListChatsResponse(chats=chats, next_page_token=next_page_token)

    async def ListMessages(self, request: ListMessagesRequest, context: Context) -> ListMessagesResponse:
        (after,) = paging.decode_page_token(request, (0,))
        limit = paging.size(request) + 1
        rows = await message_store.list_after(self._database, request.user_id, request.chat_id, after, limit)
        if not rows and not await store.exists(self._database, request.user_id, request.chat_id):
            raise ChatNotFound(request.chat_id)
        found, next_page_token = _page(request, rows, messages.to_message, lambda row: (row.sequence,))
        return ListMessagesResponse(messages=found, next_page_token=next_page_token)


def _page(
    request: ListChatsRequest | ListMessagesRequest,
    rows: list[Row],
    build: Callable[[Row], Built],
    page_key: Callable[[Row], Sequence[object]],
) -> tuple[list[Built], str]:
    """Returns the messages of one page and the token of the next page.

    A page of large messages has fewer rows, so that the response stays within the gRPC size limit.
    """
    built = [build(row) for row in rows]
    fits = paging.count_within_bytes(one.ByteSize() for one in built)
    kept, next_page_token = paging.page(request, rows, page_key, fits)
    return built[: len(kept)], next_page_token
