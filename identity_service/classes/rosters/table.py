"""A CSV file as rows that know their line (RFC 4180, UTF-8 with or without a byte order mark)."""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import NamedTuple

from identity_service.classes.rosters.archive import unreadable

MAX_ROWS = 50_000


class Row(NamedTuple):
    """One row below the header."""

    line: int
    """Where it begins, counted from 1."""
    cells: Mapping[str, str]
    """By column, without space around them."""
    whole: bool
    """Whether it has as many cells as the header; where not, it has none of them."""


class Table(NamedTuple):
    """A file."""

    columns: list[str]
    rows: list[Row]


def parse(file: str, content: bytes, kept: frozenset[str] | None = None) -> Table:
    """The rows of a file, with the columns that are to be kept, or all.

    Raises FieldInvalid for what is no table of at most MAX_ROWS rows.
    """
    lines = _lines(file, content)
    header_line, columns = next(lines, (0, []))
    if not header_line:
        raise unreadable(f"{file} is empty: the first line names the columns")
    if len(set(columns)) < len(columns):
        raise unreadable(f"{file}[{header_line}] names a column twice")
    places = [place for place, column in enumerate(columns) if kept is None or column in kept]
    rows: list[Row] = []
    for line, cells in lines:
        if len(rows) == MAX_ROWS:
            raise unreadable(f"{file} has more than {MAX_ROWS} rows: send it in parts")
        whole = len(cells) == len(columns)
        rows.append(Row(line, {columns[i]: cells[i] for i in places} if whole else {}, whole))
    if not rows:
        raise unreadable(f"{file} has no rows: leave it out, and call it absent in the manifest")
    return Table(columns, rows)


def _lines(file: str, content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Where each record begins, and its cells; empty lines are none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise unreadable(f"{file}[{line}] is not UTF-8: save it in this encoding") from error
    header = text.partition("\n")[0]
    if ";" in header and "," not in header:
        raise unreadable(f"{file} is separated by semicolons: save it with commas")
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells:
                yield begins, [cell.strip() for cell in cells]
            begins = reader.line_num + 1
    except csv.Error as error:
        raise unreadable(f"{file}[{begins}] is no CSV as RFC 4180 has it: look at its quotes") from error
