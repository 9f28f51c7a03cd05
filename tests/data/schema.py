"""What PostgreSQL's catalogue says of a service's tables."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg

DISTRIBUTION_KEYS = {"user_id", "class_id", "scope_id", "principal"}
"""A person, a class, whatever content belongs to, and whoever sent a request."""

REFERENCE: Mapping[str, str] = {
    "account_events": "every process reads all of it",
    "app_config": "small, and the same for everybody",
    "audit_entries": "one chain, in one order",
    "component_models": "one row a component",
    "embedding_sets": "small, and the same for every class",
    "erasures": "what is left of people is their ids",
    "feed_cursor": "one row",
    "feed_epochs": "one row, and one more for each restore",
    "join_codes": "a class is found by its code before its id is known",
    "knowledge_settings": "one row",
    "login_identifiers": "a person is found by a name before their id is known",
    "model_backends": "small, and the same for everybody",
    "models": "small, and the same for everybody",
    "one_time_codes": "sent to addresses that nobody has, too",
    "outbox": "empties itself",
    "roster_classes": "a class is found by its name in a roster before its id is known",
    "roster_users": "a person is found by their name in a roster before their id is known",
    "sign_in_failures": "counts names that nobody has, too",
    "sign_up_requests": "tells the id of the person whom a request made",
    "signing_keys": "every process reads all of it",
    "user_identities": "a person is found by an issuer's name for them before their id is known",
}
"""The tables that belong to nobody, and why."""

_QUEUE = "procrastinate"
_OBJECTS = f"""
WITH mine AS (
    SELECT oid, relname AS name, relkind FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
      AND NOT (%(own)s AND relname LIKE '{_QUEUE}%%')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
)
SELECT CASE WHEN relkind IN ('r', 'p') THEN 'table ' ELSE 'relation ' END || name
FROM mine WHERE relkind NOT IN ('i', 'I')
UNION ALL
SELECT concat_ws(' ', name, attname, format_type(atttypid, atttypmod), attidentity, attgenerated,
                 CASE WHEN attnotnull THEN 'NOT NULL' END, pg_get_expr(adbin, adrelid))
FROM mine JOIN pg_attribute ON attrelid = mine.oid LEFT JOIN pg_attrdef ON adrelid = mine.oid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v')
UNION ALL
SELECT concat_ws(' ', name, conname, pg_get_constraintdef(pg_constraint.oid))
FROM mine JOIN pg_constraint ON conrelid = mine.oid WHERE contype <> 'n'
UNION ALL
SELECT pg_get_indexdef(indexrelid) FROM mine JOIN pg_index ON indrelid = mine.oid
UNION ALL
SELECT pg_get_triggerdef(pg_trigger.oid) FROM mine JOIN pg_trigger ON tgrelid = mine.oid WHERE NOT tgisinternal
UNION ALL
SELECT concat_ws(' ', typname, array_agg(enumlabel ORDER BY enumsortorder))
FROM pg_type JOIN pg_enum ON enumtypid = pg_type.oid
WHERE typnamespace = 'public'::regnamespace AND NOT (%(own)s AND typname LIKE '{_QUEUE}%%') GROUP BY typname
UNION ALL
SELECT pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a' AND NOT (%(own)s AND proname LIKE '{_QUEUE}%%')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
"""
_UNIQUE = """
SELECT indrelid::regclass::text, indisprimary, ARRAY(
    SELECT coalesce(attname::text, '') FROM unnest(indkey) WITH ORDINALITY AS key (number, place)
    LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number ORDER BY place
)
FROM pg_index WHERE indisunique AND indrelid::regclass::text = ANY (%s)
"""


class Unique(NamedTuple):
    """A unique index."""

    table: str
    primary: bool
    columns: list[str]
    """In order; empty where an expression stands."""


class Schema:
    """The schema of one database."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def everything(self) -> set[str]:
        """Every table, column, constraint, index, trigger, type and function, in SQL."""
        return self._objects(own=False)

    def own(self) -> set[str]:
        """The same without the job queue's."""
        return self._objects(own=True)

    def tables(self) -> set[str]:
        """The names of the tables, without the job queue's."""
        return {text.removeprefix("table ") for text in self.own() if text.startswith("table ")}

    def unique(self) -> list[Unique]:
        """The unique indexes of these tables."""
        return [Unique(*row) for row in self._connection.execute(_UNIQUE, [[*self.tables()]])]

    def distribution_keys(self) -> dict[str, str]:
        """The column by which each table would be spread over machines, without the reference tables."""
        return {
            index.table: index.columns[0]
            for index in self.unique()
            if index.primary and index.table not in REFERENCE
        }

    def _objects(self, *, own: bool) -> set[str]:
        return {text for [text] in self._connection.execute(_OBJECTS, {"own": own})}
