"""Conventions for the tables of all services: names of constraints, and the type of timestamps.

Ids are declared as UUID and are strings in Python.
"""

from sqlalchemy import DateTime, Index, MetaData, text

TIMESTAMPTZ = DateTime(timezone=True)
"""The type of every timestamp. Timestamps are in UTC."""

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
