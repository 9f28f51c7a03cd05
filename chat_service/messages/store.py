"""SQL of messages, each with what it cites."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, case, func, literal, null, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from chassis.database import Executor, statement
from chat_service.tables import AnswerStep, Chat, ChatMessage, MessageCitation

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
"""The fields of a citation, as the contract and the table both call them."""


class MessageRow(NamedTuple):
    """A question or an answer, whole or as far as it is written."""

    chat_id: str
    message_id: str
    sequence: int
    role: str
    text: str
    status: str
    grounded: bool
    created_at: datetime
    updated_at: datetime
    citations: list[dict[str, Any]] | None


CITATION_AS_JSON = func.jsonb_build_object(
    *(part for name in CITATION for part in (literal(name), getattr(MessageCitation, name))), type_=JSONB
)

_citations = (
    select(func.jsonb_agg(aggregate_order_by(CITATION_AS_JSON, MessageCitation.number)))
    .where(
        MessageCitation.user_id == ChatMessage.user_id,
        MessageCitation.chat_id == ChatMessage.chat_id,
        MessageCitation.message_id == ChatMessage.message_id,
    )
    .correlate(ChatMessage)
    .scalar_subquery()
)
_text_so_far = (
    select(
        func.coalesce(
            func.string_agg(AnswerStep.text, aggregate_order_by(literal(""), AnswerStep.sequence)), ""
        )
    )
    .where(
        AnswerStep.user_id == ChatMessage.user_id,
        AnswerStep.chat_id == ChatMessage.chat_id,
        AnswerStep.message_id == ChatMessage.message_id,
    )
    .correlate(ChatMessage)
    .scalar_subquery()
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
"""The columns of a MessageRow."""

OF_CHAT = (
    ChatMessage.user_id == bindparam("user_id"),
    ChatMessage.chat_id == bindparam("chat_id"),
    ChatMessage.deleted_at == null(),
    # A message goes with its chat.
    select(Chat.chat_id)
    .where(
        Chat.user_id == ChatMessage.user_id, Chat.chat_id == ChatMessage.chat_id, Chat.deleted_at == null()
    )
    .exists(),
)

GET = statement(
    select(*MESSAGE).where(*OF_CHAT, ChatMessage.message_id == bindparam("message_id")), MessageRow
)
AT = statement(select(*MESSAGE).where(*OF_CHAT, ChatMessage.sequence == bindparam("sequence")), MessageRow)
AFTER = statement(
    select(*MESSAGE)
    .where(*OF_CHAT, ChatMessage.sequence > bindparam("after_sequence"))
    .order_by(ChatMessage.sequence)
    .limit(bindparam("limit")),
    MessageRow,
)


class SaidRow(NamedTuple):
    """What was said in a chat."""

    role: str
    text: str


# Broken-off answers are left out: they would teach the tutor to break off.
LAST_SAID = statement(
    select(ChatMessage.role, ChatMessage.text)
    .where(
        *OF_CHAT,
        ChatMessage.sequence < bindparam("before_sequence"),
        ChatMessage.status != "FAILED",
        ChatMessage.status != "STREAMING",
    )
    .order_by(ChatMessage.sequence.desc())
    .limit(bindparam("limit")),
    SaidRow,
)


async def get(executor: Executor, user_id: str, chat_id: str, message_id: str) -> MessageRow | None:
    """A message, or None."""
    return await executor.one(GET, user_id=user_id, chat_id=chat_id, message_id=message_id)


async def at(executor: Executor, user_id: str, chat_id: str, sequence: int) -> MessageRow | None:
    """The message at a place in its chat, or None."""
    return await executor.one(AT, user_id=user_id, chat_id=chat_id, sequence=sequence)


async def after(
    executor: Executor, user_id: str, chat_id: str, sequence: int, limit: int
) -> list[MessageRow]:
    """The messages of a chat after a place, in their order."""
    return await executor.all(AFTER, user_id=user_id, chat_id=chat_id, after_sequence=sequence, limit=limit)


async def last_said(
    executor: Executor, user_id: str, chat_id: str, before_sequence: int, limit: int
) -> list[SaidRow]:
    """What was said last before a place, newest first."""
    return await executor.all(
        LAST_SAID, user_id=user_id, chat_id=chat_id, before_sequence=before_sequence, limit=limit
    )
