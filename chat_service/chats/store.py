"""SQL of chats. The primary key of `chats` begins with `user_id`, so every statement checks ownership."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, bindparam, null, select, tuple_

from chassis import quotas
from chassis.database import Executor, Transaction, columns, statement
from chassis.quotas import insert_within_quota
from chat_service.chats.message_store import MESSAGE
from chat_service.chats.types import ChatRow, ChatWithLastMessageRow, NewChat
from chat_service.tables import chat_messages, chats

_CHAT = columns(ChatRow, chats)
_IS_THE_CHAT = (
    chats.c.user_id == bindparam("user_id"),
    chats.c.chat_id == bindparam("chat_id"),
    chats.c.deleted_at == null(),
)
# `chats.last_sequence` is the sequence of the last message, so the join reads one row per chat.
_WITH_LAST_MESSAGE = select(*_CHAT, *MESSAGE).outerjoin(
    chat_messages,
    and_(
        chat_messages.c.user_id == chats.c.user_id,
        chat_messages.c.chat_id == chats.c.chat_id,
        chat_messages.c.sequence == chats.c.last_sequence,
        chat_messages.c.deleted_at == null(),
    ),
)

ADD = statement(insert_within_quota(chats, NewChat._fields, key=chats.c.chat_id).returning(*_CHAT), ChatRow)
EXISTS = statement(select(chats.c.chat_id).where(*_IS_THE_CHAT), str)
GET = statement(_WITH_LAST_MESSAGE.where(*_IS_THE_CHAT), ChatWithLastMessageRow)
LIST_BY_USER = statement(
    _WITH_LAST_MESSAGE.where(
        chats.c.user_id == bindparam("user_id"),
        chats.c.deleted_at == null(),
        tuple_(chats.c.updated_at, chats.c.chat_id) < tuple_(bindparam("before"), bindparam("before_id")),
    )
    .order_by(chats.c.updated_at.desc(), chats.c.chat_id.desc())
    .limit(bindparam("limit")),
    ChatWithLastMessageRow,
)


async def add(transaction: Transaction, chat: NewChat, quota: int) -> ChatRow:
    """Adds a chat and returns it. Raises QuotaExceeded if the user has created `quota` chats in a day."""
    row = await transaction.one(ADD, **chat._asdict(), quota=quota)
    if row is None:
        raise quotas.exceeded("chats", quota)
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
