"""Data access: SQLAlchemy describes statements, psycopg executes them (decision 19).

A statement is written in SQLAlchemy, compiled once at import, and executed as a prepared statement. Single
reads use autocommit; every write uses an explicit transaction.

    class SessionRow(NamedTuple):
        session_id: str
        phase: str

    GET = statement(
        select(*columns(SessionRow, sessions)).where(sessions.c.user_id == bindparam("user_id")),
        SessionRow,
    )

    row = await database.one(GET, user_id=user_id)

UUIDs are strings in Python, because psycopg loads uuid columns as text.
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
from sqlalchemy import ColumnElement, FromClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import CompilerElement

Row = TypeVar("Row")
Result = TypeVar("Result")

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_POOL_TIMEOUT_SECONDS = 10.0
_MAX_WAITING_CALLS = 200
_SERVER_SHUTDOWN_STATES = frozenset({"57P01", "57P02", "57P03"})
_POOL_ERRORS = (PoolTimeout, TooManyRequests, PoolClosed)
# Without these, a connection to a server that is gone without a reset would wait for minutes.
_CONNECT_OPTIONS = {"connect_timeout": 5, "tcp_user_timeout": 20_000}

psycopg.adapters.register_loader("uuid", TextLoader)
psycopg.adapters.register_dumper(dict, JsonbDumper)


class Statement(Generic[Row]):
    """A compiled statement and the type of its rows."""

    registry: ClassVar[list["Statement[Any]"]] = []
    """Every statement of the process. Tests check all of them."""

    def __init__(self, clause: CompilerElement, row: type[Row]) -> None:
        compiled = clause.compile(dialect=_DIALECT)
        if not isinstance(compiled, SQLCompiler):
            raise ValueError(f"not a query: {compiled}")
        # The clause itself is not kept: the clauses of a service take about 1 MiB.
        self.parameter_types = {name: type(bind.type) for name, bind in compiled.binds.items()}
        self.sql = str(compiled)
        self.row_factory: BaseRowFactory[Row] = args_row(row) if issubclass(row, tuple) else scalar_row
        self._literals = _literals(compiled)
        Statement.registry.append(self)

    def parameters(self, values: dict[str, object]) -> dict[str, object]:
        """Returns the literals of the statement merged with the parameters of a call."""
        return {**self._literals, **values} if self._literals else values


@overload
def statement(clause: CompilerElement) -> Statement[None]: ...
@overload
def statement(clause: CompilerElement, row: type[Row]) -> Statement[Row]: ...
def statement(clause: CompilerElement, row: type[Any] = NoneType) -> Statement[Any]:
    """Compiles a statement. `row` is a NamedTuple of its columns, or the type of its only column.

    Raises ValueError for constructs that would fail silently at run time: Python-side defaults (they compile to
    NULL), an unexpanded IN, and literals of None.
    """
    return Statement(clause, row)


def columns(row: type[Any], table: FromClause) -> list[ColumnElement[Any]]:
    """Returns the columns of a table that a NamedTuple names, in its order."""
    return [table.c[name] for name in row._fields]


class Executor(Protocol):
    """Runs statements: the database or one of its transactions."""

    async def one(self, query: Statement[Row], **values: object) -> Row | None:
        """Returns the first row, or None."""

    async def all(self, query: Statement[Row], **values: object) -> list[Row]:
        """Returns every row."""


class Transaction:
    """A database transaction."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.notifications: dict[str, None] = {}

    def notify(self, key: str) -> None:
        """Notifies the subscribers of `key` after the commit, and only then."""
        self.notifications[key] = None

    async def one(self, query: Statement[Row], **values: object) -> Row | None:
        """Returns the first row, or None."""
        return next(iter(await self.all(query, **values)), None)

    async def all(self, query: Statement[Row], **values: object) -> list[Row]:
        """Returns every row."""
        return await self.connection.all(query, values)

    async def run(self, query: Statement[Any], **values: object) -> int:
        """Executes a statement and returns the number of affected rows."""
        return await self.connection.run(query, values)


class Connection(AsyncConnection[Any]):
    """A connection that reuses one cursor, because creating a cursor costs more than a simple read."""

    @cached_property
    def _cursor(self) -> AsyncCursor[Any]:
        return self.cursor()

    async def all(self, query: Statement[Row], values: dict[str, object]) -> list[Row]:
        """Executes a prepared statement and returns its rows."""
        cursor = self._cursor
        cursor.row_factory = query.row_factory
        await cursor.execute(query.sql, query.parameters(values), prepare=True)
        rows: list[Row] = await cursor.fetchall()
        return rows

    async def run(self, query: Statement[Any], values: dict[str, object]) -> int:
        """Executes a prepared statement and returns the number of affected rows."""
        cursor = self._cursor
        await cursor.execute(query.sql, query.parameters(values), prepare=True)
        return cursor.rowcount


class Database:
    """A bounded pool of connections to one PostgreSQL database.

    A read, and the begin of a transaction, are retried once if the pooled connection turns out to be dead.
    """

    def __init__(
        self,
        url: str,
        *,
        max_connections: int = 10,
        name: str = "meno",
        acquire_timeout: float = _POOL_TIMEOUT_SECONDS,
    ) -> None:
        """`acquire_timeout` is the number of seconds that a call waits for a connection."""
        self.url = url
        self.notify: Callable[[str], None] | None = None
        """Notifies the subscribers of a key; set by the Notifier of this database."""
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=Connection,
            kwargs={"autocommit": True, "prepare_threshold": 0, "application_name": name, **_CONNECT_OPTIONS},
            min_size=1,
            max_size=max_connections,
            max_waiting=_MAX_WAITING_CALLS,
            timeout=acquire_timeout,
            open=False,
            name=name,
        )

    async def open(self) -> None:
        """Opens the pool. Raises PoolTimeout if the database does not answer."""
        await self._pool.open(wait=True, timeout=_POOL_TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()

    async def one(self, query: Statement[Row], **values: object) -> Row | None:
        """Returns the first row of a read, or None."""
        return next(iter(await self.all(query, **values)), None)

    async def all(self, query: Statement[Row], **values: object) -> list[Row]:
        """Returns every row of a read."""
        return await self._retry_if_connection_lost(partial(self._read, query, values))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Opens a transaction. It commits when the body ends and rolls back when the body raises."""
        connection = await self._retry_if_connection_lost(self._begin)
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
        if self.notify is not None:
            for key in transaction.notifications:
                self.notify(key)

    async def _read(self, query: Statement[Row], values: dict[str, object]) -> list[Row]:
        # `with pool.connection()` would send a COMMIT, which autocommit does not need.
        connection = await self._connection()
        try:
            return await connection.all(query, values)
        finally:
            await self._pool.putconn(connection)

    async def _connection(self) -> Connection:
        """Takes a connection from the pool. Raises CancelledError if the task was cancelled meanwhile."""
        # asyncio.wait_for of Python 3.11 loses a cancellation that arrives together with the awaited connection.
        # A cancelled background task would then never end.
        task = asyncio.current_task()
        assert task is not None, "must be called in a task"
        cancellations = task.cancelling()
        connection = await self._pool.getconn()
        if task.cancelling() > cancellations:
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

    async def _retry_if_connection_lost(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        try:
            return await attempt()
        except psycopg.OperationalError as error:
            if not _is_connection_lost(error):
                raise
        await self._pool.check()
        return await attempt()


def _is_connection_lost(error: psycopg.OperationalError) -> bool:
    """Returns whether the connection is dead, as opposed to a failed statement."""
    if isinstance(error, (psycopg.errors.QueryCanceled, *_POOL_ERRORS)):
        return False
    return error.sqlstate is None or error.sqlstate in _SERVER_SHUTDOWN_STATES


def _literals(compiled: SQLCompiler) -> dict[str, object]:
    """Returns the literal values of a statement. Raises ValueError for constructs that fail silently."""
    if compiled.insert_prefetch or compiled.update_prefetch:
        names = [column.name for column in (*compiled.insert_prefetch, *compiled.update_prefetch)]
        raise ValueError(
            f"Python-side defaults are not supported for {names}: give a value or a server_default"
        )
    literals: dict[str, object] = {}
    required = {compiled.bind_names[bind] for bind in compiled.bind_names if bind.required}
    for bind, name in compiled.bind_names.items():
        if bind.expanding:
            raise ValueError(f"IN is not expanded: use == any_({name})")
        if name in required:
            continue
        if bind.value is None:
            raise ValueError(f"{name} has no value: bind it, or use null()")
        literals[name] = bind.value
    return literals
