"""Reads the tables of a service from the catalogue of PostgreSQL."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg

DISTRIBUTION_KEYS = {"user_id", "class_id", "scope_id", "principal"}
"""The columns that identify a user, a class, the owner of a content, and the sender of a request."""

REFERENCE: Mapping[str, str] = {
    "account_events": "every process reads all of it",
    "app_config": "small, and equal for all users",
    "audit_entries": "one chain in one order",
    "component_models": "one row per component",
    "embedding_sets": "small, and equal for all classes",
    "erasures": "only ids remain of erased users",
    "feed_cursor": "one row",
    "feed_epochs": "one row, and one more per restore",
    "join_codes": "a class is looked up by its code before its id is known",
    "knowledge_settings": "one row",
    "login_identifiers": "a user is looked up by an identifier before the user id is known",
    "model_backends": "small, and equal for all users",
    "models": "small, and equal for all users",
    "one_time_codes": "codes are also sent to addresses without an account",
    "outbox": "rows are deleted after delivery",
    "roster_classes": "a class is looked up by its roster id before its class id is known",
    "roster_users": "a user is looked up by the roster id before the user id is known",
    "sign_in_failures": "failures are also counted for identifiers without an account",
    "sign_up_requests": "contains the id of the user that a request created",
    "signing_keys": "every process reads all of it",
    "user_identities": "a user is looked up by issuer and subject before the user id is known",
}
"""The tables without a distribution key, with the reason."""

_QUEUE = "procrastinate"
_OBJECTS = f"""
WITH relations AS (
    SELECT oid, relname AS name, relkind FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
      AND NOT (%(service_only)s AND relname LIKE '{_QUEUE}%%')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
)
SELECT CASE WHEN relkind IN ('r', 'p') THEN 'table ' ELSE 'relation ' END || name
FROM relations WHERE relkind NOT IN ('i', 'I')
UNION ALL
SELECT concat_ws(' ', name, attname, format_type(atttypid, atttypmod), attidentity, attgenerated,
                 CASE WHEN attnotnull THEN 'NOT NULL' END, pg_get_expr(adbin, adrelid))
FROM relations JOIN pg_attribute ON attrelid = relations.oid
LEFT JOIN pg_attrdef ON adrelid = relations.oid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v')
UNION ALL
SELECT concat_ws(' ', name, conname, pg_get_constraintdef(pg_constraint.oid))
FROM relations JOIN pg_constraint ON conrelid = relations.oid WHERE contype <> 'n'
UNION ALL
SELECT pg_get_indexdef(indexrelid) FROM relations JOIN pg_index ON indrelid = relations.oid
UNION ALL
SELECT pg_get_triggerdef(pg_trigger.oid)
FROM relations JOIN pg_trigger ON tgrelid = relations.oid WHERE NOT tgisinternal
UNION ALL
SELECT concat_ws(' ', typname, array_agg(enumlabel ORDER BY enumsortorder))
FROM pg_type JOIN pg_enum ON enumtypid = pg_type.oid
WHERE typnamespace = 'public'::regnamespace AND NOT (%(service_only)s AND typname LIKE '{_QUEUE}%%') GROUP BY typname
UNION ALL
SELECT pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a' AND NOT (%(service_only)s AND proname LIKE '{_QUEUE}%%')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
"""
_UNIQUE = """
SELECT indrelid::regclass::text, indisprimary, ARRAY(
    SELECT coalesce(attname::text, '') FROM unnest(indkey) WITH ORDINALITY AS key (number, ordinal)
    LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number ORDER BY ordinal
)
FROM pg_index WHERE indisunique AND indrelid::regclass::text = ANY (%s)
"""


class UniqueIndex(NamedTuple):
    """A unique index."""

    table: str
    primary: bool
    columns: list[str]
    """In order; an expression is an empty text."""


class Schema:
    """The schema of one database."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def all_objects(self) -> set[str]:
        """Returns every table, column, constraint, index, trigger, type and function, in SQL."""
        return self._objects(service_only=False)

    def service_objects(self) -> set[str]:
        """Returns the same without the objects of the job queue."""
        return self._objects(service_only=True)

    def tables(self) -> set[str]:
        """Returns the names of the tables, without the tables of the job queue."""
        return {text.removeprefix("table ") for text in self.service_objects() if text.startswith("table ")}

    def unique_indexes(self) -> list[UniqueIndex]:
        """Returns the unique indexes of these tables."""
        return [UniqueIndex(*row) for row in self._connection.execute(_UNIQUE, [[*self.tables()]])]

    def distribution_keys(self) -> dict[str, str]:
        """Returns the distribution column of each table that would be sharded. Reference tables have none."""
        return {
            index.table: index.columns[0]
            for index in self.unique_indexes()
            if index.primary and index.table not in REFERENCE
        }

    def _objects(self, *, service_only: bool) -> set[str]:
        return {text for [text] in self._connection.execute(_OBJECTS, {"service_only": service_only})}
