"""Every statement filters on the distribution key and uses an index, except the listed statements.

PostgreSQL plans the statements on generated rows, prepared as a service prepares them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import psycopg
import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.sql.elements import CompilerElement

from chassis.database import Statement, statement
from chassis.testing import Postgres
from deploy.stack.layout import SERVICES
from identity_service.tables import class_memberships, sign_ins, users
from tests.data import statements, volume_data
from tests.data.plans import Planner, Scan
from tests.data.schema import Schema

CROSS_SHARD: Mapping[str, str] = {
    "chassis.idempotency.DELETE_BY_USER": "erasure: stored responses to other users may contain the user id",
    "chassis.idempotency.PURGE": "a job that deletes old idempotency keys of all users",
    "chat_service.answers.store.LIST_ORPHANED": "a job that ends answers of all users whose writer has died",
    "content_service.materials.store.COUNT_UNPROCESSED_BY_UPLOADER": "the turn of a user who uploads to many classes",
    "identity_service.account_feed.store.REVOKE_TOKENS_OF_USERS": "a roster import ends many memberships at once",
    "identity_service.classes.store.LIST_ALL": "an administrator lists all classes, page by page",
    "identity_service.classes.store.LIST_ALL_WITH_DELETED": "an administrator lists all classes, page by page",
    "identity_service.classes.store.NEXT_DELETED_CLASS": "a job that purges the class that was deleted first",
    "identity_service.classes.store.LIST_BY_USER": "the page reads the title of each class",
    "identity_service.classes.store.PURGE_MEMBERSHIPS_BY_USER": "every member of the purged class has a row",
    "identity_service.people.engagement.store.COUNT_ACTIVE_USERS": "statistics: the number of active users",
    "identity_service.people.engagement.store.SUM_AWARDED_XP": "statistics: the sum of the awarded XP",
    "identity_service.people.engagement.store.LIST_INACTIVE": "an administrator lists inactive users, page by page",
    "identity_service.people.engagement.store.COUNT_NEW_USERS": "statistics: the number of new users",
    "identity_service.lifecycle.purging.store.NEXT_DELETED_USER": "a job that purges deleted users",
    "identity_service.lifecycle.purging.store.NEXT_IDLE_GUEST": "a job that purges idle guests",
    "identity_service.lifecycle.purging.store.NEXT_MERGED_GUEST": "a job that purges merged guests",
    "identity_service.classes.store.COUNT_ACTIVE_BY_USER": "the count reads whether each class of the user is archived",
    "identity_service.classes.memberships.store.LIST_BY_CLASS": "the page reads the name of each member",
    "identity_service.classes.memberships.store.CLASSES_WITH_SINGLE_TEACHER": "reads the other teachers of each class",
    "identity_service.lifecycle.restores.store.END_SIGN_INS": "a restore ends the sign-ins of all users",
    "identity_service.sign_in.passwords.store.GET_BY_IDENTIFIER": "the user is looked up by an identifier",
    "identity_service.sign_in.tokens.store.PURGE_SIGN_INS": "a job that deletes ended sign-ins of all users",
    "identity_service.sign_in.tokens.store.GET_SUBJECT": "a token contains which classes of the user are archived",
    "identity_service.people.users.store.LIST": "an administrator lists all users, page by page",
    "identity_service.people.users.store.LIST_NAMES": "the names of several users in one request",
    "identity_service.people.users.store.LIST_BY_ROLE": "an administrator lists the users with one role, page by page",
    "identity_service.people.users.store.OTHER_ACTIVE_ADMIN": "the check for another active administrator",
}
"""The statements that read rows of several users or classes, with the reason."""

FULL_SCANS: Mapping[str, str] = {
    "chassis.idempotency.DELETE_BY_USER": "erasure: searches the stored responses of one day for the user id",
    "identity_service.classes.rosters.store.LIST_CLASSES": "a roster is compared with all classes that were imported",
    "identity_service.lifecycle.restores.store.END_SIGN_INS": "a restore ends the sign-ins of all users",
}
"""The statements that read a whole table that grows, with the reason."""

DATA_RIGHTS = ".data_rights."
"""Part of the names of statements that export, erase or reassign the data of one user in all tables."""

ROSTERS = ".rosters."
"""Part of the names of statements that import a roster, which contains many users and classes."""

CONSTANT_TABLES: Mapping[str, str] = {
    "app_config": "one row per key",
    "component_models": "one row per component",
    "embedding_sets": "one row per model",
    "feed_cursor": "one row",
    "feed_epochs": "one row, and one more per restore",
    "knowledge_settings": "one row",
    "model_backends": "a few",
    "models": "a few per backend",
    "signing_keys": "one row per key; keys are replaced a few times a year",
}
"""The tables that do not grow with users, classes or activity, with the reason."""

MIN_STATEMENTS = {"identity_service": 45, "content_service": 40, "session_service": 12, "chat_service": 20}
"""A lower bound of the number of statements, so that a defect of the listing is detected."""


class VolumeDatabase:
    """A database of one service that contains generated rows."""

    def __init__(self, connection: "psycopg.Connection[Any]", service: str) -> None:
        volume_data.insert(connection, service)
        self.service = service
        self.schema = Schema(connection)
        self.planner = Planner(connection)

    def cross_shard_scans(self, statement: Statement[Any]) -> list[Scan]:
        """Returns the scans that are not restricted to one value of the table's distribution key."""
        keys = self.schema.distribution_keys()
        scans = [scan for scan in self.planner.generic_scans(statement) if scan.table in keys]
        # A key is restricted if it equals a parameter or another restricted key. Each pass follows one more join.
        restricted: set[str] = set()
        for _ in scans:
            restricted |= {
                f"{scan.alias}.{keys[scan.table]}"
                for scan in scans
                if any(
                    value.startswith("$") or value in restricted
                    for value in scan.equal_values(keys[scan.table])
                )
            }
        return [scan for scan in scans if f"{scan.alias}.{keys[scan.table]}" not in restricted]

    def full_scans(self, statement: Statement[Any]) -> list[Scan]:
        """Returns the scans that read a whole table that grows."""
        scans = self.planner.chosen_scans(statement)
        return [scan for scan in scans if scan.full and scan.table not in CONSTANT_TABLES]


@pytest.fixture(scope="module", params=SERVICES)
def database(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[VolumeDatabase]:
    url = postgres.create(request.param)
    with psycopg.connect(url, autocommit=True) as connection:
        yield VolumeDatabase(connection, request.param)
    postgres.drop(url)


def find_scans(
    every: Iterable[statements.NamedStatement], select_scans: Callable[[Statement[Any]], list[Scan]]
) -> dict[str, list[Scan]]:
    """Returns the selected scans by the name of their statement, for statements that have any."""
    return {named.name: scans for named in every if (scans := select_scans(named.statement))}


@pytest.mark.parametrize("service", SERVICES)
def test_every_statement_is_a_module_attribute(service: str) -> None:
    assert statements.modules_with_unlisted_statements(service) == []
    assert len([*statements.list_statements(service)]) >= MIN_STATEMENTS[service]


def test_the_statements_of_the_chassis_are_planned() -> None:
    modules = (*statements.MODULES_OF_EVERY_SERVICE, *statements.MODULES_OF_FEED_CONSUMERS)
    planned = {module.__name__ for module in modules}
    # Each service compiles its own data rules, so they are planned with its statements.
    assert set(statements.list_modules("chassis")) == {*planned, "chassis.data_rights"}


def test_every_table_that_grows_has_rows(database: VolumeDatabase) -> None:
    growing = database.schema.tables() - CONSTANT_TABLES.keys()
    assert growing == volume_data.ROWS[database.service].keys()


def test_statements_read_rows_of_one_user_or_class(database: VolumeDatabase) -> None:
    found = find_scans(statements.list_statements(database.service), database.cross_shard_scans)
    cross_shard = {
        name: scans for name, scans in found.items() if DATA_RIGHTS not in name and ROSTERS not in name
    }
    assert {name: scans for name, scans in cross_shard.items() if name not in CROSS_SHARD} == {}
    services = (database.service, "chassis")
    assert cross_shard.keys() == {name for name in CROSS_SHARD if name.split(".")[0] in services}


def test_no_statement_reads_a_whole_table_that_grows(database: VolumeDatabase) -> None:
    found = find_scans(statements.list_statements(database.service), database.full_scans)
    assert {name: scans for name, scans in found.items() if name not in FULL_SCANS} == {}
    services = (database.service, "chassis")
    assert found.keys() == {name for name in FULL_SCANS if name.split(".")[0] in services}


def compile_unregistered(clause: CompilerElement) -> Statement[Any]:
    """Compiles a statement and removes it from the registry, because no service executes it."""
    compiled = statement(clause)
    Statement.registry.remove(compiled)
    return compiled


BY_NICKNAME = select(users.c.user_id).where(users.c.nickname == bindparam("nickname"))
BY_ID_OR_NICKNAME = select(users.c.user_id).where(
    (users.c.user_id == bindparam("user_id")) | (users.c.nickname == bindparam("nickname"))
)
BY_CLASS = (
    select(sign_ins.c.sign_in_id)
    .join(class_memberships, class_memberships.c.user_id == sign_ins.c.user_id)
    .where(class_memberships.c.class_id == bindparam("class_id"))
)
BY_SIGN_IN = select(sign_ins.c.sign_in_id).where(sign_ins.c.sign_in_id == bindparam("sign_in_id"))


@pytest.mark.parametrize("database", ["identity_service"], indirect=True)
@pytest.mark.parametrize("clause", [BY_NICKNAME, BY_ID_OR_NICKNAME, BY_CLASS, BY_SIGN_IN])
def test_a_statement_without_a_distribution_key_is_detected(
    database: VolumeDatabase, clause: CompilerElement
) -> None:
    assert database.cross_shard_scans(compile_unregistered(clause))


@pytest.mark.parametrize("database", ["identity_service"], indirect=True)
@pytest.mark.parametrize("clause", [BY_NICKNAME, BY_ID_OR_NICKNAME, select(sign_ins.c.user_id)])
def test_a_statement_without_an_index_is_detected(database: VolumeDatabase, clause: CompilerElement) -> None:
    assert database.full_scans(compile_unregistered(clause))
