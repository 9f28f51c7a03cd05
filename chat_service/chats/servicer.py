"""ChatService."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import grpc
from google.protobuf.message import Message as AnyMessage

from chassis import paging, peers
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.errors import AccessDenied, DomainError
from chassis.idempotency import replay, write
from chassis.wire import Spelling, timestamp
from chat_service.answers import store as answers
from chat_service.answers.asking import Asking
from chat_service.answers.store import AnswerKey
from chat_service.answers.stream import Streams, missing
from chat_service.answers.writing import Writing
from chat_service.chats import rules, store
from chat_service.chats.store import ChatRow, NewChat, UsedChatRow
from chat_service.content import GetContent
from chat_service.errors import ChatNotFound
from chat_service.messages import store as messages
from chat_service.messages.store import MessageRow
from chat_service.messages.translation import message
from meno.chat.v1.chat_service_pb2 import (
    AnswerStep,
    AskRequest,
    Chat,
    CreateChatRequest,
    GetChatRequest,
    ListChatsRequest,
    ListChatsResponse,
    ListMessagesRequest,
    ListMessagesResponse,
    Message,
    ResumeAnswerRequest,
    SourceMode,
    StopAnswerRequest,
)
from meno.chat.v1.chat_service_pb2_grpc import ChatServiceServicer
from meno.content.v1.content_service_pb2 import Content as Lesson
from meno.content.v1.content_service_pb2 import GetContentRequest

SOURCES = Spelling(SourceMode)

_AFTER_ALL = datetime(9999, 12, 31, tzinfo=UTC)

Row = TypeVar("Row")
Built = TypeVar("Built", bound=AnyMessage)


class ChatServicer(ChatServiceServicer):
    """Chats, what is said in them, and the tutor's answers."""

    def __init__(
        self, database: Database, get_content: GetContent, asking: Asking, streams: Streams, writing: Writing
    ) -> None:
        self._database = database
        self._get_content = get_content
        self._asking = asking
        self._streams = streams
        self._writing = writing

    async def CreateChat(self, request: CreateChatRequest, context: Context) -> Chat:
        try:
            title = rules.title(request.title, await self._lesson(request))
        except (DomainError, grpc.aio.AioRpcError):
            # A repetition is answered whatever has become of the lesson.
            await replay(self._database)
            raise
        chat = NewChat(
            user_id=request.user_id,
            source=SOURCES.text(request.source),
            class_id=request.class_id or None,
            content_id=request.content_id or None,
            title=title,
        )
        async with write(self._database) as transaction:
            return transaction.answer(_chat(await store.add(transaction, chat)))

    async def GetChat(self, request: GetChatRequest, context: Context) -> Chat:
        row = await store.get(self._database, request.user_id, request.chat_id)
        if row is None:
            raise ChatNotFound(request.chat_id)
        return _used_chat(row)

    async def ListChats(self, request: ListChatsRequest, context: Context) -> ListChatsResponse:
        before, before_id = paging.position(request, (_AFTER_ALL, paging.AFTER_ALL_IDS))
        limit = paging.size(request) + 1
        rows = await store.of_user(self._database, request.user_id, before, before_id, limit)
        chats, following = _page(request, rows, _used_chat, lambda row: (row.updated_at, row.chat_id))
        return ListChatsResponse(chats=chats, next_page_token=following)

    async def ListMessages(self, request: ListMessagesRequest, context: Context) -> ListMessagesResponse:
        (after,) = paging.position(request, (0,))
        limit = paging.size(request) + 1
        rows = await messages.after(self._database, request.user_id, request.chat_id, after, limit)
        if not rows and not await store.exists(self._database, request.user_id, request.chat_id):
            raise ChatNotFound(request.chat_id)
        said, following = _page(request, rows, message, _place)
        return ListMessagesResponse(messages=said, next_page_token=following)

    async def Ask(self, request: AskRequest, context: Context) -> AsyncIterator[AnswerStep]:
        text = request.text
        key = await self._asking.ask(request.user_id.lower(), request.chat_id.lower(), text)
        async for step in self._streams.follow(key, 0):
            yield step

    async def ResumeAnswer(self, request: ResumeAnswerRequest, context: Context) -> AsyncIterator[AnswerStep]:
        async for step in self._streams.follow(_key(request), request.after_sequence):
            yield step

    async def StopAnswer(self, request: StopAnswerRequest, context: Context) -> Message:
        key = _key(request)
        async with write(self._database) as transaction:
            if await answers.lock(transaction, key):
                await answers.end(transaction, key, "STOPPED")
            row = await messages.get(transaction, *key)
            if row is None or row.role != "ASSISTANT":
                raise await missing(transaction, key)
            answer = transaction.answer(message(row))
        self._writing.ended_by_others(key)
        return answer

    async def _lesson(self, request: CreateChatRequest) -> Lesson | None:
        """The lesson that a chat is about, where it is about one.

        Raises AccessDenied, or what content_service refuses it with.
        """
        if request.class_id and request.class_id.lower() not in caller().classes:
            raise AccessDenied()
        if not request.content_id:
            return None
        wanted = GetContentRequest(class_id=request.class_id, content_id=request.content_id)
        return await self._get_content(wanted, **peers.forwarded())


def _page(
    request: ListChatsRequest | ListMessagesRequest,
    rows: list[Row],
    build: Callable[[Row], Built],
    after: Callable[[Row], Sequence[object]],
) -> tuple[list[Built], str]:
    """A page of messages and the token of the next; it ends early where they are large."""
    built = [build(row) for row in rows]
    fits = paging.fitting(one.ByteSize() for one in built)
    kept, following = paging.page(request, rows, after, fits)
    return built[: len(kept)], following


def _key(request: ResumeAnswerRequest | StopAnswerRequest) -> AnswerKey:
    """Ids as the database spells them, for the bell and the writers are found by them."""
    return AnswerKey(request.user_id.lower(), request.chat_id.lower(), request.message_id.lower())


def _place(row: MessageRow) -> tuple[int]:
    return (row.sequence,)


def _used_chat(row: UsedChatRow) -> Chat:
    last = row.last_message
    return _chat(row, message(last) if last is not None else None)


def _chat(row: ChatRow | UsedChatRow, last: Message | None = None) -> Chat:
    return Chat(
        user_id=row.user_id,
        chat_id=row.chat_id,
        source=SOURCES.number(row.source),
        class_id=row.class_id or "",
        content_id=row.content_id or "",
        title=row.title,
        last_message=last,
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
    )
