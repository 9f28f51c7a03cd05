"""Parses a CSV file (RFC 4180, UTF-8 with or without a byte order mark) into rows with line numbers."""

import csv
import re
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import NamedTuple

from identity_service.classes.rosters.archive import archive_error

MAX_ROWS = 50_000

_FIRST_LINE = re.compile(r"[^\s,][^\r\n]*")
# Soft hyphen, zero width space, word joiner and byte order mark: they come with text that was copied.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_WRONG_DELIMITERS = {";": "semicolons", "\t": "tabs"}


class Row(NamedTuple):
    """One row below the header."""

    line: int
    """The line on which the row begins, counted from 1."""
    cells: Mapping[str, str]
    """By column, without white space at the ends and invisible characters. Empty if not well formed."""
    well_formed: bool
    """Whether the row has as many cells as the header."""


class Table(NamedTuple):
    """A CSV file."""

    columns: list[str]
    rows: list[Row]


def parse_table(file: str, content: bytes, kept_columns: frozenset[str] | None = None) -> Table:
    """Returns the rows of a file with the columns to keep, or with all columns.

    Raises FieldInvalid if the content is not a CSV file with 1 to MAX_ROWS rows.
    """
    records = _records(file, content)
    header_line, columns = next(records, (0, []))
    if not header_line:
        raise archive_error(f"{file} must not be empty: its first line contains the column names")
    if "" in columns:
        problem = f"must not have a column without a name: delete column {columns.index('') + 1}"
        raise archive_error(f"{file}[{header_line}] {problem} and all other empty columns")
    if len(set(columns)) < len(columns):
        raise archive_error(f"{file}[{header_line}] must not contain a column twice")
    indexes = [i for i, column in enumerate(columns) if kept_columns is None or column in kept_columns]
    rows: list[Row] = []
    for line, cells in records:
        if len(rows) == MAX_ROWS:
            # Not parts of a bulk file, because each part would end the memberships of all other parts.
            problem = f"must have at most {MAX_ROWS} rows: import it in several parts as delta files"
            raise archive_error(f"{file} {problem}")
        well_formed = len(cells) == len(columns)
        rows.append(Row(line, {columns[i]: cells[i] for i in indexes} if well_formed else {}, well_formed))
    if not rows:
        raise archive_error(f"{file} must have rows: leave out an empty file and set it to absent")
    return Table(columns, rows)


def _records(file: str, content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yields the first line and the cells of each record. Skips records without a value."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise archive_error(f"{file}[{line}] must be UTF-8: save the file with this encoding") from error
    _check_first_line(file, text)
    reader = csv.reader(StringIO(text, newline=""), strict=True, skipinitialspace=True)
    first_line = 1
    try:
        for values in reader:
            cells = [value.translate(_INVISIBLE).strip() for value in values]
            # Spreadsheets leave rows of commas below the data.
            if any(cells):
                yield first_line, cells
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise archive_error(f"{file}[{first_line}] must be valid CSV (RFC 4180): check its quotes") from error


def _check_first_line(file: str, text: str) -> None:
    """Raises FieldInvalid if the first line shows that the file is not separated by commas."""
    found = _FIRST_LINE.search(text)
    line = found.group() if found else ""
    if line.strip('"').lower().startswith("sep="):
        raise archive_error(f"{file} must begin with the column names: delete the line {line.strip()[:16]!r}")
    for delimiter, name in _WRONG_DELIMITERS.items():
        if delimiter in line and "," not in line:
            raise archive_error(f"{file} must be separated by commas, not by {name}")
