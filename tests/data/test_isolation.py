"""A service's roles connect only to its own database, and the serving role cannot change tables."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from chassis import migrations
from deploy.stack.layout import SERVICES, Layout, Ports
from deploy.stack.postgres import SUPERUSER, Access, Postgres
from deploy.stack.stack import Stack

NO_PORTS = Ports(gateway=0, keys=0, admin=0, services={})


@pytest.fixture(scope="module")
def accesses(tmp_path_factory: pytest.TempPathFactory) -> list[Access]:
    """The database access of each service in the local stack, in the order of SERVICES."""
    return Stack(Layout(tmp_path_factory.mktemp("stack")), NO_PORTS).accesses


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, accesses: list[Access]) -> Iterator[Postgres]:
    """A database server with the configuration of the local stack and the tables of every service."""
    postgres = Postgres(Path(tmp_path_factory.mktemp("cluster")), durable=False)
    postgres.prepare()
    process = postgres.program().start()
    try:
        postgres.wait(process)
        postgres.provision(accesses)
        for service, access in zip(SERVICES, accesses, strict=True):
            url = postgres.url(access.database, access.owner)
            migrations.upgrade(service, url, serving_role=access.server)
        yield postgres
    finally:
        process.send_signal(postgres.program().stop_signal)
        process.wait()
        postgres.remove()


def test_a_role_connects_only_to_its_own_database(server: Postgres, accesses: list[Access]) -> None:
    roles = {role: access.database for access in accesses for role in (access.owner, access.server)}
    databases = {*roles.values(), "postgres", "template1"}
    connects = {
        (role, database)
        for role in roles
        for database in databases
        if can_connect(server.url(database, role))
    }
    assert connects == {*roles.items()}


def test_a_role_has_the_connect_privilege_only_on_its_own_database(
    server: Postgres, accesses: list[Access]
) -> None:
    """The privilege is a second barrier behind pg_hba.conf."""
    query = (
        "SELECT rolname, datname FROM pg_roles, pg_database WHERE rolname = ANY (%s) AND datname = ANY (%s)"
    )
    roles = {role: access.database for access in accesses for role in (access.owner, access.server)}
    with psycopg.connect(server.url("postgres", SUPERUSER)) as connection:
        granted = connection.execute(
            f"{query} AND has_database_privilege(rolname, datname, 'CONNECT')", [[*roles], [*roles.values()]]
        ).fetchall()
    assert {*granted} == {*roles.items()}


@pytest.mark.parametrize("number", range(len(SERVICES)), ids=SERVICES)
def test_the_serving_role_reads_and_writes_rows(
    server: Postgres, accesses: list[Access], number: int
) -> None:
    access = accesses[number]
    with psycopg.connect(server.url(access.database, access.server)) as connection:
        tables = connection.execute("""
            SELECT relname, has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                   AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            """).fetchall()
    assert len(tables) > 1
    assert {name for name, granted in tables if not granted} <= {"audit_entries"}


@pytest.mark.parametrize("change", ["UPDATE audit_entries SET service = ''", "DELETE FROM audit_entries"])
def test_the_serving_role_adds_audit_entries_and_cannot_change_them(
    server: Postgres, accesses: list[Access], change: str
) -> None:
    access = accesses[SERVICES.index("identity_service")]
    with psycopg.connect(server.url(access.database, access.server), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO audit_entries VALUES "
            "(coalesce((SELECT max(sequence) FROM audit_entries), 0) + 1, uuidv7(), now(), '', '', NULL, NULL,"
            " NULL, NULL, '{}', '', '')"
        )
        with pytest.raises(InsufficientPrivilege):
            connection.execute(change.encode())
    # A trigger also protects them from mistakes of their owner.
    with (
        psycopg.connect(server.url(access.database, access.owner)) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="cannot be changed or deleted"),
    ):
        connection.execute(change.encode())


@pytest.mark.parametrize("number", range(len(SERVICES)), ids=SERVICES)
@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more (n integer)",
        "DROP TABLE idempotency_keys",
        "TRUNCATE idempotency_keys",
        "ALTER TABLE idempotency_keys ADD n integer",
        "CREATE SCHEMA more",
    ],
)
def test_the_serving_role_cannot_change_tables(
    server: Postgres, accesses: list[Access], number: int, change: str
) -> None:
    access = accesses[number]
    with (
        psycopg.connect(server.url(access.database, access.server)) as connection,
        pytest.raises(InsufficientPrivilege),
    ):
        connection.execute(change.encode())


def can_connect(url: str) -> bool:
    """Returns whether a connection succeeds. Raises OperationalError if pg_hba.conf is not the cause of a failure."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as error:
        if "no pg_hba.conf entry" not in str(error):
            raise
        return False
    return True
