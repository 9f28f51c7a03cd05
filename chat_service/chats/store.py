"""SQL of chats. The primary key of `chats` begins with `user_id`, so every statement checks ownership."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, bindparam, insert, null, select, tuple_

from chassis.database import Executor, Transaction, columns, statement
from chat_service.chats.message_store import MESSAGE
from chat_service.chats.types import ChatRow, ChatWithLastMessageRow, NewChat
from chat_service.tables import Chat, ChatMessage

_CHAT = columns(ChatRow, Chat)
_IS_THE_CHAT = (
    Chat.user_id == bindparam("user_id"),
    Chat.chat_id == bindparam("chat_id"),
    Chat.deleted_at == null(),
)
# `chats.last_sequence` is the sequence of the last message, so the join reads one row per chat.
_WITH_LAST_MESSAGE = select(*_CHAT, *MESSAGE).outerjoin(
    ChatMessage,
    and_(
        ChatMessage.user_id == Chat.user_id,
        ChatMessage.chat_id == Chat.chat_id,
        ChatMessage.sequence == Chat.last_sequence,
        ChatMessage.deleted_at == null(),
    ),
)

ADD = statement(
    insert(Chat).values({name: bindparam(name) for name in NewChat._fields}).returning(*_CHAT), ChatRow
)
EXISTS = statement(select(Chat.chat_id).where(*_IS_THE_CHAT), str)
GET = statement(_WITH_LAST_MESSAGE.where(*_IS_THE_CHAT), ChatWithLastMessageRow)
LIST_BY_USER = statement(
    _WITH_LAST_MESSAGE.where(
        Chat.user_id == bindparam("user_id"),
        Chat.deleted_at == null(),
        tuple_(Chat.updated_at, Chat.chat_id) < tuple_(bindparam("before"), bindparam("before_id")),
    )
    .order_by(Chat.updated_at.desc(), Chat.chat_id.desc())
    .limit(bindparam("limit")),
    ChatWithLastMessageRow,
)


async def add(transaction: Transaction, chat: NewChat) -> ChatRow:
    """Adds a chat and returns it."""
    row = await transaction.one(ADD, **chat._asdict())
    assert row is not None
    return row


async def exists(executor: Executor, user_id: str, chat_id: str) -> bool:
    """Returns whether the user has this chat."""
    return await executor.one(EXISTS, user_id=user_id, chat_id=chat_id) is not None


async def get(executor: Executor, user_id: str, chat_id: str) -> ChatWithLastMessageRow | None:
    """Returns a chat with its last message, or None."""
    return await executor.one(GET, user_id=user_id, chat_id=chat_id)


async def list_by_user(
    executor: Executor, user_id: str, before: datetime, before_id: UUID, limit: int
) -> list[ChatWithLastMessageRow]:
    """Returns the chats of a user with their last messages, most recently used first."""
    return await executor.all(LIST_BY_USER, user_id=user_id, before=before, before_id=before_id, limit=limit)
