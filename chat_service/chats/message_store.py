"""SQL of messages and their citations."""

from typing import TypeAlias

from sqlalchemy import ColumnElement, and_, bindparam, case, func, literal, null, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from chassis.database import Executor, statement
from chat_service.chats.types import HistoryRow, MessageRow
from chat_service.tables import AnswerStep, Chat, ChatMessage, MessageCitation

_OfMessage: TypeAlias = type[ChatMessage] | type[AnswerStep] | type[MessageCitation]

CITATION = (
    "number",
    "class_id",
    "material_id",
    "revision_id",
    "chunk_id",
    "material_title",
    "page",
    "section",
    "char_start",
    "char_end",
    "excerpt",
)
"""Names of the citation fields; the contract and the table use the same names."""


def same_message(left: _OfMessage, right: _OfMessage) -> ColumnElement[bool]:
    """Returns the condition that rows of two tables belong to the same message."""
    return and_(
        left.user_id == right.user_id, left.chat_id == right.chat_id, left.message_id == right.message_id
    )


CITATION_AS_JSON = func.jsonb_build_object(
    *(part for name in CITATION for part in (literal(name), getattr(MessageCitation, name))), type_=JSONB
)

JOINED_TEXT = func.coalesce(
    func.string_agg(AnswerStep.text, aggregate_order_by(literal(""), AnswerStep.sequence)), ""
)
"""The text of the selected steps, joined in their order."""

_citations = (
    select(func.jsonb_agg(aggregate_order_by(CITATION_AS_JSON, MessageCitation.number)))
    .where(same_message(MessageCitation, ChatMessage))
    .correlate(ChatMessage)
    .scalar_subquery()
)
_text_so_far = (
    select(JOINED_TEXT).where(same_message(AnswerStep, ChatMessage)).correlate(ChatMessage).scalar_subquery()
)

MESSAGE = (
    ChatMessage.chat_id,
    ChatMessage.message_id,
    ChatMessage.sequence,
    ChatMessage.role,
    case((ChatMessage.status == "STREAMING", _text_so_far), else_=ChatMessage.text),
    ChatMessage.status,
    ChatMessage.grounded,
    ChatMessage.created_at,
    ChatMessage.updated_at,
    _citations,
)
"""The columns of a MessageRow, in its order."""

IN_CHAT = (
    ChatMessage.user_id == bindparam("user_id"),
    ChatMessage.chat_id == bindparam("chat_id"),
    ChatMessage.deleted_at == null(),
    # The messages of a deleted chat are not found either.
    select(Chat.chat_id)
    .where(
        Chat.user_id == ChatMessage.user_id, Chat.chat_id == ChatMessage.chat_id, Chat.deleted_at == null()
    )
    .exists(),
)

GET = statement(
    select(*MESSAGE).where(*IN_CHAT, ChatMessage.message_id == bindparam("message_id")), MessageRow
)
GET_BY_SEQUENCE = statement(
    select(*MESSAGE).where(*IN_CHAT, ChatMessage.sequence == bindparam("sequence")), MessageRow
)
LIST_AFTER = statement(
    select(*MESSAGE)
    .where(*IN_CHAT, ChatMessage.sequence > bindparam("after_sequence"))
    .order_by(ChatMessage.sequence)
    .limit(bindparam("limit")),
    MessageRow,
)


# Exclude failed and streaming answers from the history: the tutor would imitate incomplete answers.
LIST_RECENT = statement(
    select(ChatMessage.role, ChatMessage.text)
    .where(
        *IN_CHAT,
        ChatMessage.sequence < bindparam("before_sequence"),
        ChatMessage.status != "FAILED",
        ChatMessage.status != "STREAMING",
    )
    .order_by(ChatMessage.sequence.desc())
    .limit(bindparam("limit")),
    HistoryRow,
)


async def get(executor: Executor, user_id: str, chat_id: str, message_id: str) -> MessageRow | None:
    """Returns a message, or None."""
    return await executor.one(GET, user_id=user_id, chat_id=chat_id, message_id=message_id)


async def get_by_sequence(executor: Executor, user_id: str, chat_id: str, sequence: int) -> MessageRow | None:
    """Returns the message with this sequence in its chat, or None."""
    return await executor.one(GET_BY_SEQUENCE, user_id=user_id, chat_id=chat_id, sequence=sequence)


async def list_after(
    executor: Executor, user_id: str, chat_id: str, sequence: int, limit: int
) -> list[MessageRow]:
    """Returns up to `limit` messages of a chat after a sequence, in order."""
    return await executor.all(
        LIST_AFTER, user_id=user_id, chat_id=chat_id, after_sequence=sequence, limit=limit
    )


async def list_recent(
    executor: Executor, user_id: str, chat_id: str, before_sequence: int, limit: int
) -> list[HistoryRow]:
    """Returns up to `limit` complete or stopped messages before a sequence, newest first."""
    return await executor.all(
        LIST_RECENT, user_id=user_id, chat_id=chat_id, before_sequence=before_sequence, limit=limit
    )
