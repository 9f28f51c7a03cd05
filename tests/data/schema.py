"""What PostgreSQL's catalogue says of a service's tables."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg

DISTRIBUTION_KEYS = {"user_id", "class_id", "scope_id", "principal"}
"""A person, a class, whatever content belongs to, and whoever sent a request."""

REFERENCE: Mapping[str, str] = {
    "account_events": "every process reads all of it",
    "embedding_sets": "small, and the same for every class",
    "join_codes": "a class is found by its code before its id is known",
    "knowledge_settings": "one row",
    "login_identifiers": "a person is found by a name before their id is known",
    "sign_in_failures": "counts names that nobody has, too",
    "sign_up_requests": "tells the id of the person whom a request made",
    "signing_keys": "every process reads all of it",
}
"""The tables that belong to nobody, and why."""

# The tools' own tables are theirs.
_TABLES = """
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version'
  AND c.relname NOT LIKE 'procrastinate%'
"""
_UNIQUE = f"""
SELECT relname, indisprimary, ARRAY(
    SELECT coalesce(attname::text, '') FROM unnest(indkey) WITH ORDINALITY AS key (number, place)
    LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number ORDER BY place
)
FROM pg_index JOIN (SELECT c.oid, c.relname {_TABLES}) AS tables ON oid = indrelid WHERE indisunique
"""


class Unique(NamedTuple):
    """A unique index."""

    table: str
    primary: bool
    columns: list[str]
    """In order; empty where an expression stands."""


class Schema:
    """The tables of one database, without those of the tools."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def tables(self) -> set[str]:
        """Their names."""
        return {name for [name] in self._ask(f"SELECT c.relname {_TABLES}")}

    def unique(self) -> list[Unique]:
        """Their unique indexes."""
        return [Unique(*row) for row in self._ask(_UNIQUE)]

    def distribution_keys(self) -> dict[str, str]:
        """The column by which each table would be spread over machines, without the reference tables."""
        return {
            index.table: index.columns[0]
            for index in self.unique()
            if index.primary and index.table not in REFERENCE
        }

    def _ask(self, query: str) -> list[Any]:
        return self._connection.execute(query.encode()).fetchall()
