"""SQL of answers.

An answer's steps are its truth: they are stored one after the other while it is STREAMING,
and its text is put together from them in the transaction that ends it. Whoever writes a
step holds the answer's row shared and whoever ends it holds it alone, so that no step ever
comes after the last.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Interval,
    LargeBinary,
    Text,
    and_,
    bindparam,
    case,
    column,
    func,
    insert,
    literal,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID, aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Database, Executor, Transaction, columns, statement
from chat_service.messages.store import CITATION, CITATION_AS_JSON, OF_CHAT
from chat_service.tables import AnswerStep, Chat, ChatMessage, MessageCitation


class AnswerKey(NamedTuple):
    """Which answer."""

    user_id: str
    chat_id: str
    message_id: str


class TurnRow(NamedTuple):
    """A chat whose next two places are taken; `sequence` is that of the answer."""

    source: str
    class_id: str | None
    content_id: str | None
    sequence: int


class BegunRow(NamedTuple):
    """A question and the answer that was begun with it."""

    question_id: str
    created_at: datetime
    message_id: str
    fencing_token: str


class StepRow(NamedTuple):
    """A step of an answer; its columns are null where there is none. `place` is the answer's in its chat."""

    place: int
    status: str
    sequence: int | None
    kind: str | None
    text: str | None
    error: bytes | None
    citation: dict[str, Any] | None


class Written(NamedTuple):
    """Steps to store, and what they cite: the columns of each, by name."""

    steps: list[dict[str, Any]]
    """`sequence`, and either `text` or `number`, that of a citation."""
    citations: list[dict[str, Any]]


_BATCH = 500
_OF_CHAT = {name: bindparam(name, type_=UUID) for name in ("user_id", "chat_id")}
_KEY = {**_OF_CHAT, "message_id": bindparam("message_id", type_=UUID)}
_THE_ANSWER = tuple(getattr(ChatMessage, name) == value for name, value in _KEY.items())
_ITS_STEPS = tuple(getattr(AnswerStep, name) == value for name, value in _KEY.items())
_ITS_CITATIONS = tuple(getattr(MessageCitation, name) == value for name, value in _KEY.items())
_STREAMING = ChatMessage.status == "STREAMING"
_FENCED = ChatMessage.fencing_token == bindparam("fencing_token")
_LEASED = func.clock_timestamp() + bindparam("lease", type_=Interval)

TAKE_TURN = statement(
    update(Chat)
    .where(
        Chat.user_id == bindparam("user_id"), Chat.chat_id == bindparam("chat_id"), Chat.deleted_at == null()
    )
    .values(last_sequence=Chat.last_sequence + 2, updated_at=func.clock_timestamp())
    .returning(Chat.source, Chat.class_id, Chat.content_id, Chat.last_sequence),
    TurnRow,
)
RUNNING = statement(
    select(ChatMessage.message_id).where(
        ChatMessage.user_id == bindparam("user_id"), ChatMessage.chat_id == bindparam("chat_id"), _STREAMING
    ),
    str,
)

_sequence = bindparam("sequence", type_=BigInteger)
_question = (
    insert(ChatMessage)
    .values(**_OF_CHAT, sequence=_sequence - 1, role="USER", text=bindparam("text"), status="COMPLETED")
    .returning(ChatMessage.message_id, ChatMessage.created_at)
    .cte("question")
)
_answer = (
    insert(ChatMessage)
    .values(
        **_OF_CHAT,
        sequence=_sequence,
        role="ASSISTANT",
        status="STREAMING",
        fencing_token=func.gen_random_uuid(),
        lease_expires_at=_LEASED,
    )
    .returning(ChatMessage.message_id, ChatMessage.fencing_token)
    .cte("answer")
)
_first_step = (
    insert(AnswerStep)
    .from_select(
        [*_KEY, "sequence", "kind"],
        select(*_OF_CHAT.values(), _answer.c.message_id, literal(1), literal("BEGUN")),
    )
    .cte("first_step")
)
BEGIN = statement(
    select(
        _question.c.message_id, _question.c.created_at, _answer.c.message_id, _answer.c.fencing_token
    ).add_cte(_first_step),
    BegunRow,
)

# Writers hold the row shared: a stop or a sweep waits for them, and they for it, to find it ended.
_held = (
    select(ChatMessage.message_id)
    .where(*_THE_ANSWER, _STREAMING, _FENCED)
    .with_for_update(read=True)
    .cte("held")
)
_written = bindparam("written", type_=JSONB)
_new_steps = (
    func.jsonb_to_recordset(func.jsonb_extract_path(_written, literal("steps")))
    .table_valued(column("sequence", BigInteger), column("text", Text), column("number", BigInteger))
    .render_derived("new_step", with_types=True)
)
_new_citations = (
    func.jsonb_to_recordset(func.jsonb_extract_path(_written, literal("citations")))
    .table_valued(*(column(name, getattr(MessageCitation, name).type) for name in CITATION))
    .render_derived("new_citation", with_types=True)
)
_citations_written = (
    upsert(MessageCitation)
    .from_select([*_KEY, *CITATION], select(*_KEY.values(), *_new_citations.c).join(_held, true()))
    .on_conflict_do_nothing()
    .cte("citations_written")
)
_steps_written = (
    upsert(AnswerStep)
    .from_select(
        [*_KEY, "sequence", "kind", "text", "citation_number"],
        select(
            *_KEY.values(),
            _new_steps.c.sequence,
            case((_new_steps.c.text == null(), "CITATION"), else_="TEXT_DELTA"),
            _new_steps.c.text,
            _new_steps.c.number,
        ).join(_held, true()),
    )
    .on_conflict_do_nothing()
    .cte("steps_written")
)
WRITE = statement(select(func.count()).select_from(_held).add_cte(_citations_written, _steps_written), int)
RENEW = statement(
    update(ChatMessage)
    .where(*_THE_ANSWER, _STREAMING, _FENCED)
    .values(lease_expires_at=_LEASED)
    .returning(ChatMessage.message_id),
    str,
)

_LOCK = select(ChatMessage.message_id).where(*_THE_ANSWER, _STREAMING)
LOCK = statement(_LOCK.with_for_update(), str)
LOCK_FENCED = statement(_LOCK.where(_FENCED).with_for_update(), str)
LOCK_ORPHANED = statement(
    _LOCK.where(ChatMessage.lease_expires_at < func.now()).with_for_update(skip_locked=True), str
)
_text = select(
    func.coalesce(func.string_agg(AnswerStep.text, aggregate_order_by(literal(""), AnswerStep.sequence)), "")
).where(*_ITS_STEPS)
_ended = (
    update(ChatMessage)
    .where(*_THE_ANSWER)
    .values(
        status=bindparam("status"),
        text=_text.scalar_subquery(),
        grounded=select(MessageCitation.number).where(*_ITS_CITATIONS).exists(),
        lease_expires_at=null(),
        updated_at=func.clock_timestamp(),
    )
    .cte("ended")
)
END = statement(
    insert(AnswerStep)
    .from_select(
        [*_KEY, "sequence", "kind", "error"],
        select(
            *_KEY.values(),
            func.max(AnswerStep.sequence) + 1,
            bindparam("kind", type_=Text),
            bindparam("error", type_=LargeBinary),
        ).where(*_ITS_STEPS),
    )
    .returning(AnswerStep.sequence)
    .add_cte(_ended),
    int,
)

# Across all persons: the sweep of a process looks after everybody's answers. chat_messages_lease_idx.
ORPHANED = statement(
    select(*columns(AnswerKey, ChatMessage))
    .where(_STREAMING, ChatMessage.lease_expires_at < func.now())
    .order_by(ChatMessage.lease_expires_at)
    .limit(_BATCH),
    AnswerKey,
)
STEPS_AFTER = statement(
    select(
        ChatMessage.sequence,
        ChatMessage.status,
        AnswerStep.sequence,
        AnswerStep.kind,
        AnswerStep.text,
        AnswerStep.error,
        case((MessageCitation.number != null(), CITATION_AS_JSON)),
    )
    .select_from(ChatMessage)
    .outerjoin(
        AnswerStep,
        and_(
            AnswerStep.user_id == ChatMessage.user_id,
            AnswerStep.chat_id == ChatMessage.chat_id,
            AnswerStep.message_id == ChatMessage.message_id,
            AnswerStep.sequence > bindparam("after_sequence"),
        ),
    )
    .outerjoin(
        MessageCitation,
        and_(
            MessageCitation.user_id == AnswerStep.user_id,
            MessageCitation.chat_id == AnswerStep.chat_id,
            MessageCitation.message_id == AnswerStep.message_id,
            MessageCitation.number == AnswerStep.citation_number,
        ),
    )
    .where(*OF_CHAT, ChatMessage.message_id == bindparam("message_id"), ChatMessage.role == "ASSISTANT")
    .order_by(AnswerStep.sequence)
    .limit(_BATCH),
    StepRow,
)
LAST_STEP = statement(select(func.max(AnswerStep.sequence)).where(*_ITS_STEPS), int)


async def take_turn(transaction: Transaction, user_id: str, chat_id: str) -> TurnRow | None:
    """Takes two places in a chat; None where there is no such chat.

    Nobody else takes any until the transaction ends.
    """
    return await transaction.one(TAKE_TURN, user_id=user_id, chat_id=chat_id)


async def running(executor: Executor, user_id: str, chat_id: str) -> str | None:
    """The id of the answer that is being written in a chat, or None."""
    return await executor.one(RUNNING, user_id=user_id, chat_id=chat_id)


async def begin(
    transaction: Transaction, user_id: str, chat_id: str, sequence: int, *, text: str, lease: timedelta
) -> BegunRow:
    """Adds a question, the answer at `sequence` after it, and the answer's first step."""
    row = await transaction.one(
        BEGIN, user_id=user_id, chat_id=chat_id, sequence=sequence, text=text, lease=lease
    )
    assert row is not None
    return row


async def write(database: Database, key: AnswerKey, fencing_token: str, written: Written) -> bool:
    """Stores steps and what they cite; False where the answer is not the writer's any more.

    One statement that does no harm when it is repeated, so it needs no transaction around it.
    """
    values = {**key._asdict(), "fencing_token": fencing_token, "written": written._asdict()}
    return await database.one(WRITE, **values) == 1


async def renew(database: Database, key: AnswerKey, fencing_token: str, lease: timedelta) -> bool:
    """Prolongs a writer's lease; False where the answer is not the writer's any more."""
    renewed = await database.one(RENEW, **key._asdict(), fencing_token=fencing_token, lease=lease)
    return renewed is not None


async def lock(transaction: Transaction, key: AnswerKey) -> bool:
    """Holds an answer that is STREAMING, for ending it; False where there is none."""
    return await transaction.one(LOCK, **key._asdict()) is not None


async def lock_fenced(transaction: Transaction, key: AnswerKey, fencing_token: str) -> bool:
    """Holds an answer for its writer; False where it is not the writer's any more."""
    return await transaction.one(LOCK_FENCED, **key._asdict(), fencing_token=fencing_token) is not None


async def lock_orphaned(transaction: Transaction, key: AnswerKey) -> bool:
    """Holds an answer whose writer's lease is over; False where somebody else sees to it."""
    return await transaction.one(LOCK_ORPHANED, **key._asdict()) is not None


async def end(transaction: Transaction, key: AnswerKey, status: str, error: bytes | None = None) -> int:
    """Ends an answer that is locked and adds its last step, whose sequence is returned.

    It is a statement of its own after the lock: only so it sees every step.
    """
    kind = "ERROR" if error is not None else "DONE"
    sequence = await transaction.one(END, **key._asdict(), status=status, kind=kind, error=error)
    assert sequence is not None
    return sequence


async def orphaned(executor: Executor) -> list[AnswerKey]:
    """The answers whose writers' leases are over."""
    return await executor.all(ORPHANED)


async def steps_after(executor: Executor, key: AnswerKey, sequence: int) -> list[StepRow]:
    """The next steps of an answer, at most a batch; one row without a step where there are none yet.

    No row at all means that there is no such answer.
    """
    return await executor.all(STEPS_AFTER, **key._asdict(), after_sequence=sequence)


async def last_step(executor: Executor, key: AnswerKey) -> int:
    """The sequence of an answer's newest step; 0 where there is no such answer."""
    return await executor.one(LAST_STEP, **key._asdict()) or 0
