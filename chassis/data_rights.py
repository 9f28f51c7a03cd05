"""Data rights: the export, reassignment and erasure of a user's rows, table by table.

A service declares one rule for each column that contains a user id, in its `data_rights.py`. A test compares
the rules with the database catalogue, so that no column is missed. Idempotency keys need no rule: they are
never exported and always erased.

    RULES = Rules(
        Rule(sessions),
        Rule(sessions, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    )
"""

import enum
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import ParseDict
from sqlalchemy import (
    ColumnElement,
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    null,
    select,
    tuple_,
    update,
)

from chassis import audit, idempotency, outbox
from chassis.calls import Context
from chassis.database import Database, Executor, Statement, Transaction, statement
from meno.access.v1.data_rights_pb2 import ExportUserDataRequest, ExportUserDataResponse
from meno.access.v1.resources_pb2 import AccountEvent, AuditAction

ERASURE = "erasure"
"""The kind of the outbox message that reports a completed erasure."""

ABOUT_OTHERS = "the row is about another user; the audit entries contain your actions on it"

_IDEMPOTENCY_TABLES = {"idempotency_keys": "copies of responses, deleted after a day"}
_BATCH_ROWS = 200


class Erase(enum.Enum):
    """The effect of an erasure on the rows that contain the user id."""

    DELETE = enum.auto()
    """The rows are deleted."""
    CLEAR = enum.auto()
    """The rows stay, with NULL in the column."""
    KEEP = enum.auto()
    """The rows stay unchanged; the rule gives the reason."""


@dataclass(frozen=True)
class Rule:
    """The rule of one column that contains a user id."""

    table: Table[Any]
    column: str = "user_id"
    erase: Erase = Erase.DELETE
    reason_kept: str = ""
    """The reason of Erase.KEEP."""
    not_exported: str = ""
    """The reason why the rows are not exported, if they are not."""
    excluded_columns: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not exported, each with the reason."""

    @property
    def name(self) -> str:
        """The name of the table."""
        return self.table.name

    @property
    def user_column(self) -> ColumnElement[str]:
        """The column that contains the user id."""
        column: ColumnElement[str] = self.table.c[self.column]
        return column


class _Compiled:
    """The statements of a rule. Rows are read in pages; a page begins after the key of the last row."""

    def __init__(self, rule: Rule, *, guests: bool) -> None:
        self.rule = rule
        self.key = [column.name for column in rule.table.primary_key]
        is_user = rule.user_column == bindparam("user_id")
        row = func.to_jsonb(literal_column(rule.name))
        keys: list[ColumnElement[Any]] = [*rule.table.primary_key]
        after = tuple_(*keys) > tuple_(*(bindparam(f"after_{name}") for name in self.key))
        first = select(row).select_from(rule.table).where(is_user).order_by(*keys).limit(_BATCH_ROWS)
        self.first: Statement[dict[str, object]] = statement(first, dict)
        self.next: Statement[dict[str, object]] = statement(first.where(after), dict)
        self.erase: Statement[None] | None = None
        if rule.erase is Erase.DELETE:
            self.erase = statement(delete(rule.table).where(is_user))
        elif rule.erase is Erase.CLEAR:
            self.erase = statement(update(rule.table).where(is_user).values({rule.column: null()}))
        self.reassign: Statement[None] | None = None
        if guests:
            owner: dict[str, Any] = {rule.column: bindparam("into_user_id")}
            self.reassign = statement(update(rule.table).where(is_user).values(owner))


class Rules:
    """The rules of a service."""

    def __init__(self, *rules: Rule, guests: bool = False, private_responses: bool = False) -> None:
        """`guests` is set if guests have rows, which are reassigned when the guest is merged into a user.

        `private_responses` is set if the responses of all RPCs contain only data of their caller. An erasure
        then needs not search the stored responses to other users, which guests could make arbitrarily large.
        """
        self.rules = rules
        self.private_responses = private_responses
        self._delete_responses = (
            idempotency.DELETE_BY_PRINCIPAL if private_responses else idempotency.DELETE_BY_USER
        )
        self._compiled = [_Compiled(rule, guests=guests) for rule in rules]

    def statements(self) -> Iterator[tuple[str, Statement[Any]]]:
        """Yields every statement with its name. Tests check all of them."""
        for compiled in self._compiled:
            prefix = f"{compiled.rule.name}.{compiled.rule.column}"
            if not compiled.rule.not_exported:
                yield from ((f"{prefix}.first", compiled.first), (f"{prefix}.next", compiled.next))
            if compiled.erase is not None:
                yield f"{prefix}.erase", compiled.erase
            if compiled.reassign is not None:
                yield f"{prefix}.reassign", compiled.reassign

    async def export_rows(
        self, executor: Executor, user_id: str
    ) -> AsyncIterator[tuple[str, dict[str, object]]]:
        """Yields every exported row of a user with the name of its table. Rows are read in batches."""
        for compiled in self._compiled:
            if compiled.rule.not_exported:
                continue
            rows = await executor.all(compiled.first, user_id=user_id)
            while rows:
                for row in rows:
                    yield (
                        compiled.rule.name,
                        {name: row[name] for name in row if name not in compiled.rule.excluded_columns},
                    )
                after = {f"after_{name}": rows[-1][name] for name in compiled.key}
                rows = (
                    await executor.all(compiled.next, user_id=user_id, **after)
                    if len(rows) == _BATCH_ROWS
                    else []
                )

    def excluded_columns(self) -> dict[str, str]:
        """Returns the columns and tables that are not exported, each with the reason."""
        return _IDEMPOTENCY_TABLES | {
            f"{rule.name}.{name}": reason
            for rule in self.rules
            for name, reason in (
                *rule.excluded_columns.items(),
                *(((rule.column, rule.not_exported),) if rule.not_exported else ()),
            )
        }

    async def erase(self, transaction: Transaction, user_id: str) -> int:
        """Erases a user and returns the number of rows that were deleted or changed."""
        rows = await transaction.run(self._delete_responses, user_id=user_id)
        for compiled in self._compiled:
            if compiled.erase is not None:
                rows += await transaction.run(compiled.erase, user_id=user_id)
        return rows

    async def reassign(self, transaction: Transaction, user_id: str, into_user_id: str) -> None:
        """Reassigns the rows of a guest to another user."""
        await transaction.run(self._delete_responses, user_id=user_id)
        for compiled in self._compiled:
            if compiled.reassign is not None:
                await transaction.run(compiled.reassign, user_id=user_id, into_user_id=into_user_id)

    async def on_user_erased(self, transaction: Transaction, event: AccountEvent) -> None:
        """Handles `user_erased`: erases the user, records it in the audit log and reports it to identity_service.

        A repetition erases what calls wrote that were in progress. It is recorded only if there was something.
        """
        user_id, repetition = event.user_erased.user_id, event.user_erased.repetition
        rows = await self.erase(transaction, user_id)
        if repetition and not rows:
            return
        action = AuditAction.AUDIT_ACTION_USER_DATA_ERASED
        await audit.record(transaction, action, user_id=user_id, rows=rows)
        if not repetition:
            await outbox.enqueue(transaction, ERASURE, {"user_id": user_id, "rows": rows})

    async def on_user_merged(self, transaction: Transaction, event: AccountEvent) -> None:
        """Handles `user_merged`: reassigns the rows of the guest."""
        await self.reassign(transaction, event.user_merged.user_id, event.user_merged.into_user_id)


class DataRights:
    """Implements the DataRightsService of any context."""

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
        async for collection, fields in self._rules.export_rows(self._database, request.user_id):
            records += 1
            record = ExportUserDataResponse.Record(collection=collection)
            ParseDict(_to_struct_fields(fields), record.fields)
            yield ExportUserDataResponse(record=record)
        summary = ExportUserDataResponse.Summary(
            records=records, excluded_columns=self._rules.excluded_columns()
        )
        yield ExportUserDataResponse(done=summary)


def _to_struct_fields(fields: dict[str, object]) -> dict[str, object]:
    """Returns fields for a Struct. Integers that a double cannot represent exactly become strings."""
    return {name: str(value) if _is_large(value) else value for name, value in fields.items()}


def _is_large(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53
