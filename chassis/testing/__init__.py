"""Test support for services: real databases, real servers, signed tokens.

The fixtures need a PostgreSQL with pgvector. `MENO_TEST_POSTGRES` is the postgresql:// URL of its superuser;
`make test` starts a server and sets it.
"""

from chassis.testing.databases import MAX_CONNECTIONS, Postgres, execute_sql
from chassis.testing.environment import SECRET, RunningService, TestEnvironment
from chassis.testing.expectations import (
    RpcFailure,
    bearer,
    eventually,
    eventually_error,
    expect_error,
    parse_error,
    wait_until,
)
from chassis.testing.fakes import FakeAccountFeed, FakeTokenIssuer
from chassis.testing.pages import read_pages

__all__ = [
    "MAX_CONNECTIONS",
    "SECRET",
    "FakeAccountFeed",
    "FakeTokenIssuer",
    "Postgres",
    "RpcFailure",
    "RunningService",
    "TestEnvironment",
    "bearer",
    "eventually",
    "eventually_error",
    "execute_sql",
    "expect_error",
    "parse_error",
    "read_pages",
    "wait_until",
]
