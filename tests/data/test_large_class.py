"""A page of a class of thousands costs what a page costs, wherever in the list it is."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from chassis.testing import Postgres
from identity_service.memberships.store import LISTED
from tests.data import growth

CLASS_ID = "00000000-0000-0000-0000-00000000ffff"
MEMBERS = 5000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 51
FILL = """
INSERT INTO class_memberships (class_id, user_id, role, created_at)
SELECT %s, user_id, 'STUDENT', %s + row_number() OVER (ORDER BY user_id) * interval '1 second'
FROM (SELECT user_id FROM users UNION ALL SELECT uuidv7() FROM generate_series(1, 1000)) AS people LIMIT %s
"""


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator["psycopg.Connection[Any]"]:
    url = postgres.create("identity_service")
    with psycopg.connect(url, autocommit=True) as opened:
        growth.fill(opened, "identity_service")
        opened.execute(FILL, [CLASS_ID, BEGAN, MEMBERS])
        opened.execute("ANALYZE class_memberships")
        opened.execute("SET plan_cache_mode = force_generic_plan")
        yield opened
    postgres.drop(url)


@pytest.mark.parametrize("after", [0, 2500, 3900])
def test_a_page_reads_as_many_members_as_it_holds(connection: "psycopg.Connection[Any]", after: int) -> None:
    values = LISTED.parameters(
        {
            "class_id": CLASS_ID,
            "status": "ACTIVE",
            "after": BEGAN + timedelta(seconds=after),
            "after_id": "00000000-0000-0000-0000-000000000000",
            "limit": LIMIT,
        }
    )
    asked = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {LISTED.sql}"
    [[[plan]]] = connection.execute(asked.encode(), values, prepare=True).fetchall()
    nodes = [*_nodes(plan["Plan"])]
    [scan] = [node for node in nodes if node.get("Relation Name") == "class_memberships"]
    assert scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) <= LIMIT + 10
    assert not [node for node in nodes if "Sort" in node["Node Type"]]


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)
