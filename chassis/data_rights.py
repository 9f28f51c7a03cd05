"""What a service knows of a person: told to them, made another's, or erased, table by table.

A service declares one rule for each column that names a person, in its `data_rights.py`; a test
holds the rules against the database's own catalogue, so that no column is forgotten. Answers that
are remembered for repeated requests need none: they are never told, and always forgotten.

    RULES = Rules(
        Rule(Session),
        Rule(Session, "deleted_by_user_id", erase=Erase.CLEAR, untold=OF_OTHERS),
    )
"""

import enum
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import ParseDict
from sqlalchemy import (
    ColumnElement,
    bindparam,
    delete,
    func,
    literal_column,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy import inspect as mapper_of

from chassis import audit, idempotency, outbox
from chassis.calls import Context
from chassis.database import Database, Executor, Statement, Transaction, statement
from meno.access.v1.account_feed_service_pb2 import AccountEvent
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.access.v1.data_rights_pb2 import ExportUserDataRequest, ExportUserDataResponse

ERASURE = "erasure"
"""The kind of the fact that a service holds nothing of a person any more."""

OF_OTHERS = "the row is about somebody else; the audit entries tell what you did to it"

_MEMORY = {"request_memory": "copies of answers, kept for a day"}
_BATCH = 200


class Erase(enum.Enum):
    """What becomes of the rows that name a person, when they are erased."""

    DELETE = enum.auto()
    """They are deleted."""
    CLEAR = enum.auto()
    """They stay, and name nobody."""
    KEEP = enum.auto()
    """They stay as they are, for a reason that the rule gives."""


@dataclass(frozen=True)
class Rule:
    """One column of a table that names a person."""

    table: Any
    """As `tables.py` declares it."""
    column: str = "user_id"
    erase: Erase = Erase.DELETE
    kept: str = ""
    """Why rows stay as they are."""
    untold: str = ""
    """Why the rows are not told."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not told, and why."""

    @property
    def name(self) -> str:
        """Of the table."""
        return str(self.table.__tablename__)

    @property
    def named(self) -> Any:
        """The column."""
        return getattr(self.table, self.column)


class _Compiled:
    """A rule's statements. A page of rows begins after a key, which the last row tells."""

    def __init__(self, rule: Rule, *, guests: bool) -> None:
        self.rule = rule
        self.key = [column.name for column in mapper_of(rule.table).primary_key]
        mine = rule.named == bindparam("user_id")
        told = func.to_jsonb(literal_column(rule.name))
        keys: list[ColumnElement[Any]] = [getattr(rule.table, name) for name in self.key]
        after = tuple_(*keys) > tuple_(*(bindparam(f"after_{name}") for name in self.key))
        first = select(told).select_from(rule.table).where(mine).order_by(*keys).limit(_BATCH)
        self.first: Statement[dict[str, Any]] = statement(first, dict)
        self.next: Statement[dict[str, Any]] = statement(first.where(after), dict)
        self.erase: Statement[None] | None = None
        if rule.erase is Erase.DELETE:
            self.erase = statement(delete(rule.table).where(mine))
        elif rule.erase is Erase.CLEAR:
            self.erase = statement(update(rule.table).where(mine).values({rule.column: null()}))
        self.move: Statement[None] | None = None
        if guests:
            becomes: dict[str, Any] = {rule.column: bindparam("into_user_id")}
            self.move = statement(update(rule.table).where(mine).values(becomes))


class Rules:
    """Every rule of a service."""

    def __init__(self, *rules: Rule, guests: bool = False) -> None:
        """`guests` says that guests have rows here, which become those of who they turn out to be."""
        self.rules = rules
        self._compiled = [_Compiled(rule, guests=guests) for rule in rules]

    def statements(self) -> Iterator[tuple[str, Statement[Any]]]:
        """Every statement, by the name of what it does, for the tests that examine them all."""
        for one in self._compiled:
            where = f"{one.rule.name}.{one.rule.column}"
            if not one.rule.untold:
                yield from ((f"{where}.first", one.first), (f"{where}.next", one.next))
            if one.erase is not None:
                yield f"{where}.erase", one.erase
            if one.move is not None:
                yield f"{where}.move", one.move

    async def told(self, executor: Executor, user_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yields every row that is told to the person, with its table, a batch at a time."""
        for one in self._compiled:
            if one.rule.untold:
                continue
            rows = await executor.all(one.first, user_id=user_id)
            while rows:
                for row in rows:
                    yield one.rule.name, {name: row[name] for name in row if name not in one.rule.withheld}
                after = {f"after_{name}": rows[-1][name] for name in one.key}
                rows = await executor.all(one.next, user_id=user_id, **after) if len(rows) == _BATCH else []

    def withheld(self) -> dict[str, str]:
        """What is not told, and why."""
        return _MEMORY | {
            f"{rule.name}.{name}": why
            for rule in self.rules
            for name, why in (*rule.withheld.items(), *(((rule.column, rule.untold),) if rule.untold else ()))
        }

    async def erase(self, transaction: Transaction, user_id: str) -> int:
        """Deletes or clears what names a person; returns how many rows that were."""
        rows = await transaction.run(idempotency.FORGET, user_id=user_id)
        for one in self._compiled:
            if one.erase is not None:
                rows += await transaction.run(one.erase, user_id=user_id)
        return rows

    async def move(self, transaction: Transaction, user_id: str, into_user_id: str) -> None:
        """Makes everything of a guest somebody else's."""
        await transaction.run(idempotency.FORGET, user_id=user_id)
        for one in self._compiled:
            if one.move is not None:
                await transaction.run(one.move, user_id=user_id, into_user_id=into_user_id)

    async def erased(self, transaction: Transaction, event: AccountEvent) -> None:
        """The effect of a `user_erased`: with the erasure, its receipt."""
        user_id = event.user_erased.user_id
        rows = await self.erase(transaction, user_id)
        action = AuditAction.AUDIT_ACTION_USER_DATA_ERASED
        await audit.record(transaction, action, user_id=user_id, rows=rows)
        await outbox.put(transaction, ERASURE, {"user_id": user_id, "rows": rows})

    async def merged(self, transaction: Transaction, event: AccountEvent) -> None:
        """The effect of a `user_merged`."""
        await self.move(transaction, event.user_merged.user_id, event.user_merged.into_user_id)


class DataRights:
    """Serves any context's DataRightsService."""

    def __init__(self, database: Database, rules: Rules) -> None:
        self._database = database
        self._rules = rules

    async def ExportUserData(
        self, request: ExportUserDataRequest, context: Context
    ) -> AsyncIterator[ExportUserDataResponse]:
        async with self._database.transaction() as transaction:
            action = AuditAction.AUDIT_ACTION_USER_DATA_EXPORTED
            await audit.record(transaction, action, user_id=request.user_id)
        records = 0
        async for collection, fields in self._rules.told(self._database, request.user_id):
            records += 1
            record = ExportUserDataResponse.Record(collection=collection)
            ParseDict(_plain(fields), record.fields)
            yield ExportUserDataResponse(record=record)
        summary = ExportUserDataResponse.Summary(records=records, withheld=self._rules.withheld())
        yield ExportUserDataResponse(done=summary)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as a Struct holds them: a number beyond a double's exactness becomes a text."""
    return {name: str(value) if _is_large(value) else value for name, value in fields.items()}


def _is_large(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53
