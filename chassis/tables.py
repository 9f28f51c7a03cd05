"""How every service's tables are spelled: names of constraints, and the types behind Python's."""

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
"""For `type_annotation_map`. Timestamps are UTC; ids are declared as UUID and are strings in Python."""

_NAMING = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
}


def person_index(table: str, column: str) -> Index:
    """An index on a column that names a person in few rows, for telling and erasing them."""
    return Index(f"{table}_{column}_idx", column, postgresql_where=text(f"{column} IS NOT NULL"))


def metadata() -> MetaData:
    """The metadata of one service, with the names that PostgreSQL itself would choose."""
    return MetaData(naming_convention=_NAMING)
