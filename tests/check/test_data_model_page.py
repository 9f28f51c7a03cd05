"""The page that maps the replaced systems to Meno names only tables, columns, indexes and values that exist."""

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, MetaData, Table

from deploy.stack.layout import ROOT, SERVICES

PAGE = ROOT / "docs" / "data-model.md"

MAPPING = ("table", "columns, constraints, indexes", "in Meno", "note")
VALUES = ("column", "values", "in the systems")
TABLES = ("service", "tables")

_CODE = re.compile(r"`([^`\n]+)`")
_COLUMN = re.compile(r"[a-z_]+\.(?!py$)[a-z_]+")
"""A column with its table, such as `users.xp`. File names of Python are no columns."""
_QUOTED = re.compile(r"'([^']+)'")
_LISTED_VALUES = re.compile(r"(\w+) IN \('")
"""A CHECK constraint that lists the values of a column, such as `role IN ('STUDENT', …)`."""


def cells(line: str) -> tuple[str, ...]:
    """Returns the cells of a row of a Markdown table. The page has no `|` in a cell."""
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def rows(page: str, header: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yields the rows of all Markdown tables with this header."""
    for block in page.split("\n\n"):
        lines = block.strip().splitlines()
        if lines and lines[0].startswith("|") and cells(lines[0]) == header:
            yield from map(cells, lines[2:])


def tables(service: str) -> dict[str, "Table[Any]"]:
    """Returns the tables of a service by name."""
    metadata: MetaData = import_module(f"{service}.tables").METADATA
    return dict(metadata.tables)


def _all_tables() -> list["Table[Any]"]:
    return [table for service in SERVICES for table in tables(service).values()]


COLUMNS = {f"{table.name}.{column.name}" for table in _all_tables() for column in table.columns}
NAMES = (
    COLUMNS
    | {table.name for table in _all_tables()}
    | {str(index.name) for table in _all_tables() for index in table.indexes}
    | {str(constraint.name) for table in _all_tables() for constraint in table.constraints}
)


def unknown_names(page: str) -> set[str]:
    """Returns the names of Meno's tables, columns and indexes on a page that do not exist."""
    places = {name for _, _, place, _ in rows(page, MAPPING) for name in _CODE.findall(place)}
    columns = {name for name in _CODE.findall(page) if _COLUMN.fullmatch(name)}
    return (places - NAMES) | (columns - COLUMNS)


def rows_without_place(page: str) -> list[tuple[str, ...]]:
    """Returns the rows without a place in Meno, and those that give no reason why there is none."""
    return [
        row
        for row in rows(page, MAPPING)
        if not (_CODE.search(row[2]) or (row[2] in ("not yet", "none") and row[3]))
    ]


def wrong_values(page: str) -> set[str]:
    """Returns the columns whose values on a page differ from those that their CHECK constraint permits."""
    permitted = {
        f"{table.name}.{constraint.name}": {*_QUOTED.findall(str(constraint.sqltext))}
        for table in _all_tables()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    return {
        column
        for row in rows(page, VALUES)
        for column in _CODE.findall(row[0])
        if {*_CODE.findall(row[1])} != permitted.get(_check_name(column))
    }


def _check_name(column: str) -> str:
    table, _, name = column.partition(".")
    return f"{table}.{table}_{name}_check"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text()


def test_every_name_of_meno_exists(page: str) -> None:
    assert unknown_names(page) == set()


def test_every_row_has_a_place_or_a_reason(page: str) -> None:
    assert rows_without_place(page) == []


def test_the_values_are_those_of_the_check_constraints(page: str) -> None:
    assert wrong_values(page) == set()


def test_every_column_with_listed_values_is_on_the_page(page: str) -> None:
    columns = {
        f"{table.name}.{listed[1]}"
        for table in _all_tables()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
        and (listed := _LISTED_VALUES.match(str(constraint.sqltext)))
    }
    assert columns == {column for row in rows(page, VALUES) for column in _CODE.findall(row[0])}


def test_every_table_of_meno_is_listed_with_its_service(page: str) -> None:
    listed = {row[0]: _CODE.findall(row[1]) for row in rows(page, TABLES)}
    assert listed == {service: sorted(tables(service)) for service in SERVICES}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("`users.xp`, `xp_entries.amount`", "`users.experience`, `xp_entries.amount`"),
        ("`sessions_pkey`", "`sessions_by_user_idx`"),
        ("| `audit_entries` |", "| `audit_log` |"),
        ("`materials.storage_key`) belong", "`materials.key`) belong"),
    ],
)
def test_a_name_that_does_not_exist_is_found(page: str, name: str, wrong: str) -> None:
    assert name in page
    assert unknown_names(page.replace(name, wrong)) == set(_CODE.findall(wrong)) - NAMES != set()


def test_a_missing_reason_and_a_wrong_value_are_found(page: str) -> None:
    assert rows_without_place(page.replace("| not yet | pause and resume |", "| not yet | |"))
    assert wrong_values(page.replace("`clarify_doubts`", "`clarify`")) == {"sessions.mode"}
