"""SQL of messages and their citations."""

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, case, func, literal, null, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from chassis.database import Executor, statement
from chat_service.chats.types import HistoryRow, MessageRow
from chat_service.tables import answer_steps, chat_messages, chats, message_citations

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


def same_message(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    """Returns the condition that rows of two tables, such as steps and citations, belong to the same message."""
    return and_(
        left.c.user_id == right.c.user_id,
        left.c.chat_id == right.c.chat_id,
        left.c.message_id == right.c.message_id,
    )


CITATION_AS_JSON = func.jsonb_build_object(
    *(part for name in CITATION for part in (literal(name), message_citations.c[name])), type_=JSONB
)

JOINED_TEXT = func.coalesce(
    func.string_agg(answer_steps.c.text, aggregate_order_by(literal(""), answer_steps.c.sequence)), ""
)
"""The text of the selected steps, joined in their order."""

_citations = (
    select(func.jsonb_agg(aggregate_order_by(CITATION_AS_JSON, message_citations.c.number)))
    .where(same_message(message_citations, chat_messages))
    .correlate(chat_messages)
    .scalar_subquery()
)
_text_so_far = (
    select(JOINED_TEXT)
    .where(same_message(answer_steps, chat_messages))
    .correlate(chat_messages)
    .scalar_subquery()
)

MESSAGE = (
    chat_messages.c.chat_id,
    chat_messages.c.message_id,
    chat_messages.c.sequence,
    chat_messages.c.role,
    case((chat_messages.c.status == "STREAMING", _text_so_far), else_=chat_messages.c.text),
    chat_messages.c.status,
    chat_messages.c.grounded,
    chat_messages.c.created_at,
    chat_messages.c.updated_at,
    _citations,
)
"""The columns of a MessageRow, in its order."""

IN_CHAT = (
    chat_messages.c.user_id == bindparam("user_id"),
    chat_messages.c.chat_id == bindparam("chat_id"),
    chat_messages.c.deleted_at == null(),
    # The messages of a deleted chat are not found either.
    select(chats.c.chat_id)
    .where(
        chats.c.user_id == chat_messages.c.user_id,
        chats.c.chat_id == chat_messages.c.chat_id,
        chats.c.deleted_at == null(),
    )
    .exists(),
)

GET = statement(
    select(*MESSAGE).where(*IN_CHAT, chat_messages.c.message_id == bindparam("message_id")), MessageRow
)
GET_BY_SEQUENCE = statement(
    select(*MESSAGE).where(*IN_CHAT, chat_messages.c.sequence == bindparam("sequence")), MessageRow
)
LIST_AFTER = statement(
    select(*MESSAGE)
    .where(*IN_CHAT, chat_messages.c.sequence > bindparam("after_sequence"))
    .order_by(chat_messages.c.sequence)
    .limit(bindparam("limit")),
    MessageRow,
)


# Exclude failed and streaming answers from the history: the tutor would imitate incomplete answers.
LIST_RECENT = statement(
    select(chat_messages.c.role, chat_messages.c.text)
    .where(
        *IN_CHAT,
        chat_messages.c.sequence < bindparam("before_sequence"),
        chat_messages.c.status != "FAILED",
        chat_messages.c.status != "STREAMING",
    )
    .order_by(chat_messages.c.sequence.desc())
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
