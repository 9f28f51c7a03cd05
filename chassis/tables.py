"""Conventions for the tables of all services: names of constraints, and column types of Python types."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Index, LargeBinary, MetaData, Text, text
from sqlalchemy.dialects.postgresql import JSONB

TYPES: dict[Any, Any] = {
    str: Text,
    int: BigInteger,
    bytes: LargeBinary,
    datetime: DateTime(timezone=True),
    dict[str, Any]: JSONB,
}
"""The `type_annotation_map`. Timestamps are in UTC. Ids are declared as UUID and are strings in Python."""

_NAMING = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
}


def person_index(table: str, column: str) -> Index:
    """Returns a partial index on a rarely set column with a user id. Exports and erasures use it."""
    return Index(f"{table}_{column}_idx", column, postgresql_where=text(f"{column} IS NOT NULL"))


def metadata() -> MetaData:
    """Returns the metadata of a service. Constraints get the names that PostgreSQL itself chooses."""
    return MetaData(naming_convention=_NAMING)
