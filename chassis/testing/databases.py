"""Databases for tests, copied from templates that are migrated once."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus

from chassis import migrations

MAX_CONNECTIONS = 4
"""The connections of a service under test. By default each background task would open one at the start."""

_connections: dict[str, "psycopg.Connection[Any] | None"] = {}
"""The URL of each database of the test server, and the connection on which `execute_sql` uses it.

A new connection takes longer than most statements of tests.
"""


class Postgres:
    """Creates and drops databases on the test server."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        # One connection for all databases: each new one would take as long as copying a template.
        self._connection = psycopg.connect(admin_url, autocommit=True)
        self._templates: set[str] = set()
        self._unused: list[str] = []
        """Databases that the next call of `drop` drops."""

    def url(self, database: str) -> str:
        """Returns the URL of a database on the test server."""
        return urlunsplit(urlsplit(self._admin_url)._replace(path=f"/{database}"))

    def create(self, service: str) -> str:
        """Creates a database with a service's tables and returns its URL."""
        template = f"template_{service}_{os.getpid()}"
        if template not in self._templates:
            self._execute("CREATE DATABASE {}", template)
            with psycopg.connect(self.url(template)) as connection:
                connection.execute("CREATE EXTENSION vector")
            migrations.upgrade(service, self.url(template))
            self._templates.add(template)
        name = f"test_{uuid.uuid4().hex}"
        # Copying files takes half the CPU time of the default, which writes every block to the WAL (17 and 39 ms).
        self._execute("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        _connections[self.url(name)] = None
        return self.url(name)

    def create_empty(self) -> str:
        """Creates a database without tables and returns its URL."""
        name = f"test_{uuid.uuid4().hex}"
        self._execute("CREATE DATABASE {}", name)
        return self.url(name)

    def drop(self, url: str) -> None:
        """Marks a database as unused, and drops those that were marked before.

        PostgreSQL sleeps for 100 ms if a connection to the database has not ended, as after most tests.
        """
        if connection := _connections.pop(url, None):
            connection.close()
        self._drop_unused()
        self._unused.append(urlsplit(url).path.lstrip("/"))

    def close(self) -> None:
        """Drops the databases and closes all connections."""
        for connection in filter(None, _connections.values()):
            connection.close()
        self._unused += self._templates
        self._drop_unused()
        self._connection.close()

    def _drop_unused(self) -> None:
        while self._unused:
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._unused.pop())

    def _execute(self, statement: str, *names: str) -> None:
        self._connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def execute_sql(url: str, statement: str, *values: object, **named: object) -> list[tuple[Any, ...]]:
    """Executes a statement in its own transaction, and returns its rows; none if it returns no rows.

    The values are those of its `%s` parameters, or of its `%(name)s` parameters.
    """
    with _connect(url) as connection:
        cursor = connection.execute(statement.encode(), named or values or None)
        returns_rows = cursor.pgresult is not None and cursor.pgresult.status == ExecStatus.TUPLES_OK
        return cursor.fetchall() if returns_rows else []


@contextmanager
def _connect(url: str) -> Iterator["psycopg.Connection[Any]"]:
    """Yields a connection that commits each statement. Connections to databases of the test server stay open."""
    if url not in _connections:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection
        return
    kept = _connections[url]
    if kept is None or kept.closed:
        # Tests change tables, so that plans of prepared statements would become invalid.
        kept = _connections[url] = psycopg.connect(url, autocommit=True, prepare_threshold=None)
    yield kept
