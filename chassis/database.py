"""SQLAlchemy describes, psycopg executes.

A statement is written in SQLAlchemy, compiled once at import, and executed as a prepared
statement: single reads in autocommit, everything that writes in an explicit transaction.

    class SessionRow(NamedTuple):
        session_id: str
        phase: str

    GET = statement(
        select(*columns(SessionRow, Session)).where(Session.user_id == bindparam("user_id")),
        SessionRow,
    )

    row = await database.one(GET, user_id=user_id)

Ids are strings in Python: psycopg hands uuid columns over as text.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property, partial
from types import NoneType
from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import BaseRowFactory, args_row, scalar_row
from psycopg.types.json import JsonbDumper
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests
from sqlalchemy import ColumnElement
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import CompilerElement

Row = TypeVar("Row")
Done = TypeVar("Done")

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_POOL_TIMEOUT = 10.0
_MAX_WAITING = 200
_SERVER_GOING_DOWN = frozenset({"57P01", "57P02", "57P03"})
_NEVER_CONNECTED = (PoolTimeout, TooManyRequests, PoolClosed)
# A server that falls silent is given up instead of waited for.
_SILENCE = {"connect_timeout": 5, "tcp_user_timeout": 20_000}

psycopg.adapters.register_loader("uuid", TextLoader)
psycopg.adapters.register_dumper(dict, JsonbDumper)


class Statement(Generic[Row]):
    """A statement compiled to psycopg's SQL, and the row that it returns."""

    registry: ClassVar[list["Statement[Any]"]] = []
    """Every statement of the process, for the tests that examine them all."""

    def __init__(self, clause: CompilerElement, row: type[Row]) -> None:
        compiled = clause.compile(dialect=_DIALECT)
        if not isinstance(compiled, SQLCompiler):
            raise ValueError(f"not a query: {compiled}")
        self.clause = clause
        self.sql = str(compiled)
        self.row_factory: BaseRowFactory[Row] = args_row(row) if issubclass(row, tuple) else scalar_row
        self._literals = _literals(compiled)
        Statement.registry.append(self)

    def parameters(self, values: dict[str, Any]) -> dict[str, Any]:
        """The literals of the statement, merged with a call's own values."""
        return {**self._literals, **values} if self._literals else values


@overload
def statement(clause: CompilerElement) -> Statement[None]: ...
@overload
def statement(clause: CompilerElement, row: type[Row]) -> Statement[Row]: ...
def statement(clause: CompilerElement, row: type[Any] = NoneType) -> Statement[Any]:
    """Compiles a statement whose rows become `row`: a NamedTuple of the columns, or the only column's type.

    Raises ValueError for what would go wrong silently at run time: a value left to Python's
    defaults, an unexpanded IN, or a NULL that nobody asked for.
    """
    return Statement(clause, row)


def columns(row: type[Any], table: Any) -> list[ColumnElement[Any]]:
    """The columns of a table that a NamedTuple names, in its order."""
    return [getattr(table, name) for name in row._fields]


class Executor(Protocol):
    """What a store runs its statements on: the database, or one transaction of it."""

    async def one(self, query: Statement[Row], **values: Any) -> Row | None:
        """Returns the first row, or None."""

    async def all(self, query: Statement[Row], **values: Any) -> list[Row]:
        """Returns every row."""


class Transaction:
    """One transaction: what it does happens whole or not at all."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.rung: dict[str, None] = {}

    def ring(self, key: str) -> None:
        """Has the database's bell ring once the transaction is committed, and never otherwise."""
        self.rung[key] = None

    async def one(self, query: Statement[Row], **values: Any) -> Row | None:
        """Returns the first row, or None."""
        return next(iter(await self.all(query, **values)), None)

    async def all(self, query: Statement[Row], **values: Any) -> list[Row]:
        """Returns every row."""
        return await self.connection.all(query, values)

    async def run(self, query: Statement[Any], **values: Any) -> int:
        """Executes for its effect; returns how many rows it touched."""
        return await self.connection.run(query, values)


class Connection(AsyncConnection[Any]):
    """A connection that keeps its cursor, for making one takes longer than a simple read."""

    @cached_property
    def _cursor(self) -> AsyncCursor[Any]:
        return self.cursor()

    async def all(self, query: Statement[Row], values: dict[str, Any]) -> list[Row]:
        """Executes a statement, prepared, and returns its rows."""
        cursor = self._cursor
        cursor.row_factory = query.row_factory
        await cursor.execute(query.sql, query.parameters(values), prepare=True)
        rows: list[Row] = await cursor.fetchall()
        return rows

    async def run(self, query: Statement[Any], values: dict[str, Any]) -> int:
        """Executes a statement, prepared, and returns how many rows it touched."""
        cursor = self._cursor
        await cursor.execute(query.sql, query.parameters(values), prepare=True)
        return cursor.rowcount


class Database:
    """A bounded pool of connections to one PostgreSQL database.

    A connection that died while it lay in the pool is replaced without the caller noticing:
    before a transaction has begun, and for a read, which may be repeated.
    """

    def __init__(
        self, url: str, *, max_connections: int = 10, name: str = "meno", patience: float = _POOL_TIMEOUT
    ) -> None:
        """`patience` is how many seconds a call waits for a connection."""
        self.url = url
        self.ring: Callable[[str], None] | None = None
        """Rings the bell of this database, where there is one."""
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=Connection,
            kwargs={"autocommit": True, "prepare_threshold": 0, "application_name": name, **_SILENCE},
            min_size=1,
            max_size=max_connections,
            max_waiting=_MAX_WAITING,
            timeout=patience,
            open=False,
            name=name,
        )

    async def open(self) -> None:
        """Opens the pool. Raises PoolTimeout when the database does not answer."""
        await self._pool.open(wait=True, timeout=_POOL_TIMEOUT)

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()

    async def one(self, query: Statement[Row], **values: Any) -> Row | None:
        """Returns the first row of a read, or None."""
        return next(iter(await self.all(query, **values)), None)

    async def all(self, query: Statement[Row], **values: Any) -> list[Row]:
        """Returns every row of a read."""
        return await self._repeated_if_lost(partial(self._read, query, values))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Opens a transaction that commits when the body ends and rolls back when it raises."""
        connection = await self._repeated_if_lost(self._begin)
        transaction = Transaction(connection)
        try:
            try:
                yield transaction
            except BaseException:
                if not connection.broken:
                    await connection.rollback()
                raise
            await connection.commit()
        finally:
            await self._pool.putconn(connection)
        if self.ring is not None:
            for key in transaction.rung:
                self.ring(key)

    async def _read(self, query: Statement[Row], values: dict[str, Any]) -> list[Row]:
        # Not `with pool.connection()`: in autocommit there is nothing to commit.
        connection = await self._connection()
        try:
            return await connection.all(query, values)
        finally:
            await self._pool.putconn(connection)

    async def _connection(self) -> Connection:
        """A connection of the pool.

        Python 3.11 swallows a cancellation that arrives together with the connection that the
        pool waits for; work that never ends by itself would then never end.
        """
        task = asyncio.current_task()
        assert task is not None, "called on the event loop"
        before = task.cancelling()
        connection = await self._pool.getconn()
        if task.cancelling() > before:
            await self._pool.putconn(connection)
            raise asyncio.CancelledError
        return connection

    async def _begin(self) -> Connection:
        connection = await self._connection()
        try:
            await connection.execute("BEGIN")
        except BaseException:
            await self._pool.putconn(connection)
            raise
        return connection

    async def _repeated_if_lost(self, attempt: Callable[[], Awaitable[Done]]) -> Done:
        try:
            return await attempt()
        except psycopg.OperationalError as error:
            if not _lost(error):
                raise
        await self._pool.check()
        return await attempt()


def _lost(error: psycopg.OperationalError) -> bool:
    """Whether the connection is gone, rather than the statement refused."""
    if isinstance(error, (psycopg.errors.QueryCanceled, *_NEVER_CONNECTED)):
        return False
    return error.sqlstate is None or error.sqlstate in _SERVER_GOING_DOWN


def _literals(compiled: SQLCompiler) -> dict[str, Any]:
    """The values that a statement brings itself. Raises ValueError for silent faults."""
    if compiled.insert_prefetch or compiled.update_prefetch:
        names = [column.name for column in (*compiled.insert_prefetch, *compiled.update_prefetch)]
        raise ValueError(f"give a value or a server_default; Python's default is not run for {names}")
    literals = {}
    required = {compiled.bind_names[bind] for bind in compiled.bind_names if bind.required}
    for bind, name in compiled.bind_names.items():
        if bind.expanding:
            raise ValueError(f"IN is not expanded: write == any_({name})")
        if name in required:
            continue
        if bind.value is None:
            raise ValueError(f"{name} has no value: bind it, or write null()")
        literals[name] = bind.value
    return literals
