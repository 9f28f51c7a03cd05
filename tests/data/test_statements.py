"""Every statement asks one person's or one class's rows, and finds them without walking through a table.

The statements are planned on generated rows, as PostgreSQL plans what a service has prepared.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psycopg
import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.sql.elements import CompilerElement

from chassis.database import Statement, statement
from chassis.testing import Postgres
from deploy.stack.layout import SERVICES
from identity_service.tables import Membership, SignIn, User
from tests.data import statements, volume_data
from tests.data.plans import Planner, Scan
from tests.data.schema import Schema

ACROSS: Mapping[str, str] = {
    "chassis.idempotency.DELETE_BY_USER": "an erasure: answers to others may hold what the person is called",
    "chassis.idempotency.PURGE": "a job that forgets everybody's requests, by their age",
    "chat_service.answers.store.LIST_ORPHANED": "a job that looks after everybody's answers",
    "identity_service.account_feed.store.REVOKE_TOKENS_OF_USERS": "a roster ends thousands of memberships at once",
    "identity_service.classes.store.LIST_ALL": "an administrator looks at all classes, page by page",
    "identity_service.classes.store.LIST_ALL_WITH_DELETED": "an administrator looks at all classes, page by page",
    "identity_service.classes.store.NEXT_DELETED_CLASS": "a job that looks after everybody's classes, by their age",
    "identity_service.classes.store.LIST_BY_USER": "a person's classes are shown by their own titles",
    "identity_service.classes.store.PURGE_MEMBERSHIPS_BY_USER": "each member of the purged class has a row",
    "identity_service.people.engagement.store.COUNT_ACTIVE_USERS": "how many study, of all",
    "identity_service.people.engagement.store.SUM_AWARDED_XP": "what all were given",
    "identity_service.people.engagement.store.LIST_INACTIVE": "who of all stays away",
    "identity_service.people.engagement.store.COUNT_NEW_USERS": "how many came, of all",
    "identity_service.lifecycle.purging.store.NEXT_DELETED_USER": "a job that erases whom nobody restores",
    "identity_service.lifecycle.purging.store.NEXT_IDLE_GUEST": "a job that erases guests who use nothing",
    "identity_service.lifecycle.purging.store.NEXT_MERGED_GUEST": "a job that erases what is left of merged guests",
    "identity_service.classes.store.COUNT_ACTIVE_BY_USER": "which of a person's classes are in use",
    "identity_service.classes.memberships.store.LIST_BY_CLASS": "a class's members are shown by their own names",
    "identity_service.classes.memberships.store.CLASSES_WITH_SINGLE_TEACHER": "the other teachers of a user's classes",
    "identity_service.lifecycle.restores.store.END_SIGN_INS": "after a restore, everybody's sign-ins",
    "identity_service.sign_in.passwords.store.GET_BY_IDENTIFIER": "who signs in is not known by id yet",
    "identity_service.sign_in.tokens.store.PURGE_SIGN_INS": "a job that forgets everybody's sign-ins, by their age",
    "identity_service.sign_in.tokens.store.GET_SUBJECT": "a token tells which of a person's classes are in use",
    "identity_service.people.users.store.LIST": "an administrator's list of people",
    "identity_service.people.users.store.LIST_NAMES": "what several people are called",
    "identity_service.people.users.store.LIST_BY_ROLE": "an administrator's list of people of one role",
    "identity_service.people.users.store.OTHER_ACTIVE_ADMIN": "whether anybody else is an administrator",
}
"""The statements that read the rows of several persons or classes, and why."""

WALKS: Mapping[str, str] = {
    "chassis.idempotency.DELETE_BY_USER": "an erasure, through the answers of one day",
    "identity_service.classes.rosters.store.LIST_CLASSES": "a whole roster is compared with all that came by one",
    "identity_service.lifecycle.restores.store.END_SIGN_INS": "after a restore, everybody's sign-ins",
}
"""The statements that walk through all of a table that grows, and why."""

DATA_RIGHTS = ".data_rights."
"""In the names of statements that tell, erase or move what is known of one person, wherever it lies."""

ROSTERS = ".rosters."
"""In the names of statements that compare or apply a roster, which tells of many people and classes at once."""

CONSTANT: Mapping[str, str] = {
    "app_config": "one row a key",
    "component_models": "one row a component",
    "embedding_sets": "one row a model",
    "feed_cursor": "one row",
    "feed_epochs": "one row, and one more for each restore",
    "knowledge_settings": "one row",
    "model_backends": "a few",
    "models": "a few for each backend",
    "signing_keys": "one row a key, replaced a few times a year",
}
"""The tables that do not grow with people, classes or use."""

LEAST = {"identity_service": 45, "content_service": 40, "session_service": 12, "chat_service": 20}
"""So many statements each service had at least when this was written."""


class Filled:
    """A service's database with rows in it."""

    def __init__(self, connection: "psycopg.Connection[Any]", service: str) -> None:
        volume_data.fill(connection, service)
        self.service = service
        self.schema = Schema(connection)
        self.planner = Planner(connection)

    def astray(self, asked: Statement[Any]) -> list[Scan]:
        """The scans of a statement that are not kept to one value of the table's distribution key."""
        keys = self.schema.distribution_keys()
        scans = [scan for scan in self.planner.general(asked) if scan.table in keys]
        # A table is kept to what is given, or to the key of one that is.
        kept: set[str] = set()
        for _ in scans:
            kept |= {
                f"{scan.alias}.{keys[scan.table]}"
                for scan in scans
                if any(value.startswith("$") or value in kept for value in scan.equals(keys[scan.table]))
            }
        return [scan for scan in scans if f"{scan.alias}.{keys[scan.table]}" not in kept]

    def walks(self, asked: Statement[Any]) -> list[Scan]:
        """The scans of a statement that walk through all of a table that grows."""
        return [scan for scan in self.planner.settled(asked) if scan.whole and scan.table not in CONSTANT]


@pytest.fixture(scope="module", params=SERVICES)
def filled(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Filled]:
    url = postgres.create(request.param)
    with psycopg.connect(url, autocommit=True) as connection:
        yield Filled(connection, request.param)
    postgres.drop(url)


def found(every: Iterable[statements.Named], fault: Any) -> dict[str, list[Scan]]:
    """The statements that have a fault, and where."""
    return {named.name: scans for named in every if (scans := fault(named.statement))}


@pytest.mark.parametrize("service", SERVICES)
def test_statements_stand_where_they_are_found(service: str) -> None:
    assert statements.hidden(service) == []
    assert len([*statements.of_service(service)]) >= LEAST[service]


def test_what_the_chassis_asks_is_planned_too() -> None:
    planned = {module.__name__ for module in (*statements.OF_EVERY_SERVICE, *statements.OF_FOLLOWERS)}
    # The rules of data rights are compiled by each service, and planned with it.
    assert set(statements.compiling("chassis")) == {*planned, "chassis.data_rights"}


def test_every_table_that_grows_has_rows(filled: Filled) -> None:
    grows = filled.schema.tables() - CONSTANT.keys()
    assert grows == volume_data.ROWS[filled.service].keys()


def test_statements_keep_to_one_person_or_class(filled: Filled) -> None:
    everything = found(statements.of_service(filled.service), filled.astray)
    astray = {
        name: scans for name, scans in everything.items() if DATA_RIGHTS not in name and ROSTERS not in name
    }
    assert {name: scans for name, scans in astray.items() if name not in ACROSS} == {}
    assert astray.keys() == {name for name in ACROSS if name.split(".")[0] in (filled.service, "chassis")}


def test_no_statement_walks_through_a_table_that_grows(filled: Filled) -> None:
    walks = found(statements.of_service(filled.service), filled.walks)
    assert {name: scans for name, scans in walks.items() if name not in WALKS} == {}
    assert walks.keys() == {name for name in WALKS if name.split(".")[0] in (filled.service, "chassis")}


def compiled(clause: CompilerElement) -> Statement[Any]:
    """A statement that no service makes."""
    made = statement(clause)
    Statement.registry.remove(made)
    return made


BY_NICKNAME = select(User.user_id).where(User.nickname == bindparam("nickname"))
ONE_OR_OTHER = select(User.user_id).where(
    (User.user_id == bindparam("user_id")) | (User.nickname == bindparam("nickname"))
)
OF_MEMBERS = (
    select(SignIn.sign_in_id)
    .join(Membership, Membership.user_id == SignIn.user_id)
    .where(Membership.class_id == bindparam("class_id"))
)
LATE = select(SignIn.sign_in_id).where(SignIn.sign_in_id == bindparam("sign_in_id"))


@pytest.mark.parametrize("filled", ["identity_service"], indirect=True)
@pytest.mark.parametrize("clause", [BY_NICKNAME, ONE_OR_OTHER, OF_MEMBERS, LATE])
def test_a_statement_that_forgets_its_key_is_noticed(filled: Filled, clause: CompilerElement) -> None:
    assert filled.astray(compiled(clause))


@pytest.mark.parametrize("filled", ["identity_service"], indirect=True)
@pytest.mark.parametrize("clause", [BY_NICKNAME, ONE_OR_OTHER, select(SignIn.user_id)])
def test_a_statement_without_an_index_is_noticed(filled: Filled, clause: CompilerElement) -> None:
    assert filled.walks(compiled(clause))
