"""The cost of a page of members does not depend on its position in a class of thousands."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from chassis.testing import Postgres
from identity_service.classes.memberships.store import LIST_BY_CLASS

CLASS_ID = "00000000-0000-0000-0000-00000000ffff"
MEMBERS = 5000
FIRST_JOINED_AT = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 51
INSERT_MEMBERS = """
WITH people AS (
    INSERT INTO users (display_name, nickname, role)
    SELECT 'Person', 'Person', 'STUDENT' FROM generate_series(1, %s) RETURNING user_id
)
INSERT INTO class_memberships (class_id, user_id, role, created_at)
SELECT %s, user_id, 'STUDENT', %s + row_number() OVER (ORDER BY user_id) * interval '1 second' FROM people
"""
PARAMETERS = re.compile(r"%\((\w+)\)s")


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator["psycopg.Connection[Any]"]:
    """A connection that has prepared the list of members with the generic plan."""
    url = postgres.create("identity_service")
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute(INSERT_MEMBERS, [MEMBERS, CLASS_ID, FIRST_JOINED_AT])
        opened.execute("ANALYZE")
        opened.execute("SET plan_cache_mode = force_generic_plan")
        names = parameters()
        text = PARAMETERS.sub(lambda found: f"${names.index(found[1]) + 1}", LIST_BY_CLASS.sql)
        opened.execute(f"PREPARE list_members AS {text}".encode())
        yield opened
    postgres.drop(url)


@pytest.mark.parametrize("after", [0, 2500, 4900])
def test_a_page_reads_no_more_members_than_it_returns(
    connection: "psycopg.Connection[Any]", after: int
) -> None:
    values = LIST_BY_CLASS.parameters(
        {
            "class_id": CLASS_ID,
            "status": "ACTIVE",
            "after": FIRST_JOINED_AT + timedelta(seconds=after),
            "after_id": CLASS_ID,
            "limit": LIMIT,
        }
    )
    arguments = sql.SQL(", ").join(sql.Literal(values[name]) for name in parameters())
    explain = sql.SQL("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE list_members ({})")
    [[[plan]]] = connection.execute(explain.format(arguments)).fetchall()
    nodes = [*_nodes(plan["Plan"])]
    [scan] = [node for node in nodes if node.get("Relation Name") == "class_memberships"]
    assert scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) <= LIMIT
    assert not [node for node in nodes if "Sort" in node["Node Type"]]


def parameters() -> list[str]:
    """Returns the names of the statement's parameters in order."""
    return [*dict.fromkeys(PARAMETERS.findall(LIST_BY_CLASS.sql))]


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)
