"""SQL of answers.

While an answer is STREAMING, its steps are inserted one after the other and are the only copy of its
text. The transaction that ends it joins their text into the message. Writers of steps take a shared lock
on the answer's row, and the transaction that ends it takes an exclusive one, so no step follows the last.
"""

from datetime import timedelta

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
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Database, Executor, Transaction, columns, statement
from chat_service.answers.types import AnswerKey, NewSteps, ReservedSequence, StartedRow, StepRow
from chat_service.chats.message_store import CITATION, CITATION_AS_JSON, IN_CHAT, JOINED_TEXT, same_message
from chat_service.tables import answer_steps, chat_messages, chats, message_citations

_BATCH_SIZE = 500
_CHAT_KEY = {name: bindparam(name, type_=UUID) for name in ("user_id", "chat_id")}
_KEY = {**_CHAT_KEY, "message_id": bindparam("message_id", type_=UUID)}
_IS_THE_ANSWER = tuple(chat_messages.c[name] == value for name, value in _KEY.items())
_IS_STEP_OF_ANSWER = tuple(answer_steps.c[name] == value for name, value in _KEY.items())
_IS_CITATION_OF_ANSWER = tuple(message_citations.c[name] == value for name, value in _KEY.items())
_STREAMING = chat_messages.c.status == "STREAMING"
_FENCED = chat_messages.c.fencing_token == bindparam("fencing_token")
_LEASE_EXPIRY = func.clock_timestamp() + bindparam("lease", type_=Interval)

RESERVE_SEQUENCE = statement(
    update(chats)
    .where(
        chats.c.user_id == bindparam("user_id"),
        chats.c.chat_id == bindparam("chat_id"),
        chats.c.deleted_at == null(),
    )
    .values(last_sequence=chats.c.last_sequence + 2, updated_at=func.clock_timestamp())
    .returning(chats.c.source, chats.c.class_id, chats.c.content_id, chats.c.last_sequence),
    ReservedSequence,
)
GET_STREAMING = statement(
    select(chat_messages.c.message_id).where(
        chat_messages.c.user_id == bindparam("user_id"),
        chat_messages.c.chat_id == bindparam("chat_id"),
        _STREAMING,
    ),
    str,
)

LOCK_USER = statement(select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("lock_key"), 0))))
# An answer with an expired lease has no writer. Uses chat_messages_streaming_key.
COUNT_STREAMING = statement(
    select(func.count()).where(
        chat_messages.c.user_id == bindparam("user_id"),
        _STREAMING,
        chat_messages.c.lease_expires_at > func.clock_timestamp(),
    ),
    int,
)

_sequence = bindparam("sequence", type_=BigInteger)
_question = (
    insert(chat_messages)
    .values(**_CHAT_KEY, sequence=_sequence - 1, role="USER", text=bindparam("text"), status="COMPLETED")
    .returning(chat_messages.c.message_id, chat_messages.c.created_at)
    .cte("question")
)
_answer = (
    insert(chat_messages)
    .values(
        **_CHAT_KEY,
        sequence=_sequence,
        role="ASSISTANT",
        status="STREAMING",
        fencing_token=func.gen_random_uuid(),
        lease_expires_at=_LEASE_EXPIRY,
    )
    .returning(chat_messages.c.message_id, chat_messages.c.fencing_token)
    .cte("answer")
)
_first_step = (
    insert(answer_steps)
    .from_select(
        [*_KEY, "sequence", "kind"],
        select(*_CHAT_KEY.values(), _answer.c.message_id, literal(1), literal("STARTED")),
    )
    .cte("first_step")
)
START = statement(
    select(
        _question.c.message_id, _question.c.created_at, _answer.c.message_id, _answer.c.fencing_token
    ).add_cte(_first_step),
    StartedRow,
)

# Writers lock the row FOR SHARE. A stop or an expiry locks it FOR UPDATE, so it waits for a running insert,
# and an insert that comes later finds the answer ended and inserts nothing.
_locked = (
    select(chat_messages.c.message_id)
    .where(*_IS_THE_ANSWER, _STREAMING, _FENCED)
    .with_for_update(read=True)
    .cte("locked")
)
_new = bindparam("new", type_=JSONB)
_new_steps = (
    func.jsonb_to_recordset(func.jsonb_extract_path(_new, literal("steps")))
    .table_valued(column("sequence", BigInteger), column("text", Text), column("number", BigInteger))
    .render_derived("new_step", with_types=True)
)
_new_citations = (
    func.jsonb_to_recordset(func.jsonb_extract_path(_new, literal("citations")))
    .table_valued(*(column(name, message_citations.c[name].type) for name in CITATION))
    .render_derived("new_citation", with_types=True)
)
_insert_citations = (
    upsert(message_citations)
    .from_select([*_KEY, *CITATION], select(*_KEY.values(), *_new_citations.c).join(_locked, true()))
    .on_conflict_do_nothing()
    .cte("inserted_citations")
)
_insert_steps = (
    upsert(answer_steps)
    .from_select(
        [*_KEY, "sequence", "kind", "text", "citation_number"],
        select(
            *_KEY.values(),
            _new_steps.c.sequence,
            case((_new_steps.c.text == null(), "CITATION"), else_="TEXT_DELTA"),
            _new_steps.c.text,
            _new_steps.c.number,
        ).join(_locked, true()),
    )
    .on_conflict_do_nothing()
    .cte("inserted_steps")
)
WRITE = statement(select(func.count()).select_from(_locked).add_cte(_insert_citations, _insert_steps), int)
RENEW = statement(
    update(chat_messages)
    .where(*_IS_THE_ANSWER, _STREAMING, _FENCED)
    .values(lease_expires_at=_LEASE_EXPIRY)
    .returning(chat_messages.c.message_id),
    str,
)

_LOCK = select(chat_messages.c.message_id).where(*_IS_THE_ANSWER, _STREAMING)
LOCK = statement(_LOCK.with_for_update(), str)
LOCK_FENCED = statement(_LOCK.where(_FENCED).with_for_update(), str)
LOCK_ORPHANED = statement(
    _LOCK.where(chat_messages.c.lease_expires_at < func.now()).with_for_update(skip_locked=True), str
)
_text = select(JOINED_TEXT).where(*_IS_STEP_OF_ANSWER)
_ended = (
    update(chat_messages)
    .where(*_IS_THE_ANSWER)
    .values(
        status=bindparam("status"),
        text=_text.scalar_subquery(),
        grounded=select(message_citations.c.number).where(*_IS_CITATION_OF_ANSWER).exists(),
        lease_expires_at=null(),
        updated_at=func.clock_timestamp(),
    )
    .cte("ended")
)
END = statement(
    insert(answer_steps)
    .from_select(
        [*_KEY, "sequence", "kind", "error"],
        select(
            *_KEY.values(),
            func.max(answer_steps.c.sequence) + 1,
            bindparam("kind", type_=Text),
            bindparam("error", type_=LargeBinary),
        ).where(*_IS_STEP_OF_ANSWER),
    )
    .returning(answer_steps.c.sequence)
    .add_cte(_ended),
    int,
)

# Across all users, because every process expires any answer. Uses chat_messages_lease_idx.
LIST_ORPHANED = statement(
    select(*columns(AnswerKey, chat_messages))
    .where(_STREAMING, chat_messages.c.lease_expires_at < func.now())
    .order_by(chat_messages.c.lease_expires_at)
    .limit(_BATCH_SIZE),
    AnswerKey,
)
LIST_STEPS_AFTER = statement(
    select(
        chat_messages.c.sequence,
        chat_messages.c.status,
        answer_steps.c.sequence,
        answer_steps.c.kind,
        answer_steps.c.text,
        answer_steps.c.error,
        case((message_citations.c.number != null(), CITATION_AS_JSON)),
    )
    .select_from(chat_messages)
    .outerjoin(
        answer_steps,
        and_(
            same_message(answer_steps, chat_messages),
            answer_steps.c.sequence > bindparam("after_sequence"),
        ),
    )
    .outerjoin(
        message_citations,
        and_(
            same_message(message_citations, answer_steps),
            message_citations.c.number == answer_steps.c.citation_number,
        ),
    )
    .where(
        *IN_CHAT, chat_messages.c.message_id == bindparam("message_id"), chat_messages.c.role == "ASSISTANT"
    )
    .order_by(answer_steps.c.sequence)
    .limit(_BATCH_SIZE),
    StepRow,
)
GET_LAST_SEQUENCE = statement(select(func.max(answer_steps.c.sequence)).where(*_IS_STEP_OF_ANSWER), int)


async def reserve_sequence(transaction: Transaction, user_id: str, chat_id: str) -> ReservedSequence | None:
    """Reserves two sequences in a chat; returns None if the chat does not exist.

    The chat's row stays locked until the transaction ends, so questions in one chat run one by one.
    """
    return await transaction.one(RESERVE_SEQUENCE, user_id=user_id, chat_id=chat_id)


async def get_streaming(executor: Executor, user_id: str, chat_id: str) -> str | None:
    """Returns the id of the STREAMING answer of a chat, or None."""
    return await executor.one(GET_STREAMING, user_id=user_id, chat_id=chat_id)


async def lock_user_and_count_streaming(transaction: Transaction, user_id: str) -> int:
    """Returns the number of answers of a user that a writer is writing, in all processes.

    Until the transaction ends, no other transaction gets this number: concurrent questions in several chats of
    the user are counted one by one.
    """
    await transaction.run(LOCK_USER, lock_key=f"answers of {user_id}")
    return await transaction.one(COUNT_STREAMING, user_id=user_id) or 0


async def start(
    transaction: Transaction, user_id: str, chat_id: str, sequence: int, *, text: str, lease: timedelta
) -> StartedRow:
    """Inserts a question, its answer at `sequence` and the step STARTED."""
    row = await transaction.one(
        START, user_id=user_id, chat_id=chat_id, sequence=sequence, text=text, lease=lease
    )
    assert row is not None
    return row


async def write(database: Database, key: AnswerKey, fencing_token: str, new: NewSteps) -> bool:
    """Inserts steps and their citations; returns False if the answer is no longer the writer's.

    It is one idempotent statement, so it may be repeated and needs no transaction.
    """
    values = {**key._asdict(), "fencing_token": fencing_token, "new": new._asdict()}
    return await database.one(WRITE, **values) == 1


async def renew(database: Database, key: AnswerKey, fencing_token: str, lease: timedelta) -> bool:
    """Renews a writer's lease; returns False if the answer is no longer the writer's."""
    renewed = await database.one(RENEW, **key._asdict(), fencing_token=fencing_token, lease=lease)
    return renewed is not None


async def lock(transaction: Transaction, key: AnswerKey) -> bool:
    """Locks a STREAMING answer; returns False if there is none."""
    return await transaction.one(LOCK, **key._asdict()) is not None


async def lock_fenced(transaction: Transaction, key: AnswerKey, fencing_token: str) -> bool:
    """Locks a STREAMING answer for its writer; returns False if it is no longer the writer's."""
    return await transaction.one(LOCK_FENCED, **key._asdict(), fencing_token=fencing_token) is not None


async def lock_orphaned(transaction: Transaction, key: AnswerKey) -> bool:
    """Locks an answer with an expired lease; returns False if another transaction has locked or ended it."""
    return await transaction.one(LOCK_ORPHANED, **key._asdict()) is not None


async def end(transaction: Transaction, key: AnswerKey, status: str, error: bytes | None = None) -> int:
    """Ends a locked answer, inserts its last step and returns the sequence of that step.

    The lock must be taken by an earlier statement. READ COMMITTED takes a new snapshot for each statement,
    so this one sees every step that was committed before the lock was granted.
    """
    kind = "ERROR" if error is not None else "DONE"
    sequence = await transaction.one(END, **key._asdict(), status=status, kind=kind, error=error)
    assert sequence is not None
    return sequence


async def list_orphaned(executor: Executor) -> list[AnswerKey]:
    """Returns up to one batch of STREAMING answers with an expired lease, oldest expiry first."""
    return await executor.all(LIST_ORPHANED)


async def list_steps_after(executor: Executor, key: AnswerKey, sequence: int) -> list[StepRow]:
    """Returns up to one batch of the steps after a sequence, in order.

    Returns one row without a step if the answer has no further step, and no row if it does not exist.
    """
    return await executor.all(LIST_STEPS_AFTER, **key._asdict(), after_sequence=sequence)


async def get_last_sequence(executor: Executor, key: AnswerKey) -> int:
    """Returns the sequence of an answer's latest step, or 0 if the answer does not exist."""
    return await executor.one(GET_LAST_SEQUENCE, **key._asdict()) or 0
