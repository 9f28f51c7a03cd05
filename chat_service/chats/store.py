"""SQL of chats."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, insert, null, select, tuple_

from chassis.database import Executor, Transaction, columns, statement
from chat_service.messages.store import MESSAGE, MessageRow
from chat_service.tables import Chat, ChatMessage


class ChatRow(NamedTuple):
    """A chat."""

    user_id: str
    chat_id: str
    source: str
    class_id: str | None
    content_id: str | None
    title: str
    created_at: datetime
    updated_at: datetime


class NewChat(NamedTuple):
    """A chat that is opened."""

    user_id: str
    source: str
    class_id: str | None
    content_id: str | None
    title: str


class UsedChatRow(NamedTuple):
    """A chat, followed by the columns of its last message, which are null where it has none."""

    user_id: str
    chat_id: str
    source: str
    class_id: str | None
    content_id: str | None
    title: str
    created_at: datetime
    updated_at: datetime
    message_chat_id: str
    message_id: str | None
    message_sequence: int
    message_role: str
    message_text: str
    message_status: str
    message_grounded: bool
    message_created_at: datetime
    message_updated_at: datetime
    message_citations: list[dict[str, Any]] | None

    @property
    def last_message(self) -> MessageRow | None:
        """The last message, or None."""
        if self.message_id is None:
            return None
        return MessageRow(
            self.message_chat_id,
            self.message_id,
            self.message_sequence,
            self.message_role,
            self.message_text,
            self.message_status,
            self.message_grounded,
            self.message_created_at,
            self.message_updated_at,
            self.message_citations,
        )


_CHAT = columns(ChatRow, Chat)
_THE_CHAT = (
    Chat.user_id == bindparam("user_id"),
    Chat.chat_id == bindparam("chat_id"),
    Chat.deleted_at == null(),
)
# The counter of a chat is the place of its last message.
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
EXISTS = statement(select(Chat.chat_id).where(*_THE_CHAT), str)
GET = statement(_WITH_LAST_MESSAGE.where(*_THE_CHAT), UsedChatRow)
OF_USER = statement(
    _WITH_LAST_MESSAGE.where(
        Chat.user_id == bindparam("user_id"),
        Chat.deleted_at == null(),
        tuple_(Chat.updated_at, Chat.chat_id) < tuple_(bindparam("before"), bindparam("before_id")),
    )
    .order_by(Chat.updated_at.desc(), Chat.chat_id.desc())
    .limit(bindparam("limit")),
    UsedChatRow,
)


async def add(transaction: Transaction, chat: NewChat) -> ChatRow:
    """Adds a chat."""
    row = await transaction.one(ADD, **chat._asdict())
    assert row is not None
    return row


async def exists(executor: Executor, user_id: str, chat_id: str) -> bool:
    """Whether a person has this chat."""
    return await executor.one(EXISTS, user_id=user_id, chat_id=chat_id) is not None


async def get(executor: Executor, user_id: str, chat_id: str) -> UsedChatRow | None:
    """A chat with its last message, or None."""
    return await executor.one(GET, user_id=user_id, chat_id=chat_id)


async def of_user(
    executor: Executor, user_id: str, before: datetime, before_id: UUID, limit: int
) -> list[UsedChatRow]:
    """A person's chats with their last messages, the one used last first."""
    return await executor.all(OF_USER, user_id=user_id, before=before, before_id=before_id, limit=limit)
