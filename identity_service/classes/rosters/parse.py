"""Parses the archive of a roster into tables. Rows are validated later."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from identity_service.classes.rosters.archive import archive_error, unpack
from identity_service.classes.rosters.layout import (
    ABSENT,
    BULK,
    DELTA,
    EXTENSION_COLUMN_PREFIX,
    FILES,
    LAYOUTS,
    MANIFEST,
    required_columns,
)
from identity_service.classes.rosters.table import Table, parse_table

_VERSIONS = {"manifest.version": "1.0", "oneroster.version": "1.2"}


class Tables(NamedTuple):
    """The tables of an archive."""

    digest: bytes
    """SHA-256 of the archive."""
    modes: Mapping[str, str]
    """BULK or DELTA, by file."""
    tables: Mapping[str, Table]


def parse(archive: bytes) -> Tables:
    """Returns the tables of a roster. Raises FieldInvalid if the archive is not a roster."""
    files = unpack(archive, {MANIFEST, *FILES})
    modes = _modes(files)
    tables = {file: _table(file, files[file], modes[file]) for file in modes}
    return Tables(hashlib.sha256(archive).digest(), modes, tables)


def _modes(files: Mapping[str, bytes]) -> dict[str, str]:
    """Returns the modes of the files from the manifest, without the absent files."""
    if MANIFEST not in files:
        raise archive_error(f"must contain {MANIFEST}")
    rows = parse_table(MANIFEST, files[MANIFEST]).rows
    properties = {row.cells.get("propertyName", ""): row.cells.get("value", "") for row in rows}
    for name, version in _VERSIONS.items():
        if properties.get(name) != version:
            raise archive_error(f"{MANIFEST}: {name} must be {version}")
    modes = {file: properties.get(_mode_property(file), ABSENT) for file in FILES}
    for file, mode in modes.items():
        if mode not in (ABSENT, BULK, DELTA):
            raise archive_error(f"{MANIFEST}: {file} must be {ABSENT}, {BULK} or {DELTA}")
        if mode == ABSENT and file in files and _mode_property(file) in properties:
            raise archive_error(f"must not contain {file}, because {MANIFEST} sets it to {ABSENT}")
        if mode == ABSENT and file in files:
            raise archive_error(f"{MANIFEST} must list {file}: add {_mode_property(file)},{BULK}")
        if mode != ABSENT and file not in files:
            raise archive_error(f"must contain {file}, because {MANIFEST} sets it to {mode}")
    return {file: mode for file, mode in modes.items() if mode != ABSENT}


def _mode_property(file: str) -> str:
    return f"file.{file.removesuffix('.csv')}"


def _table(file: str, content: bytes, mode: str) -> Table:
    layout = LAYOUTS[file]
    table = parse_table(file, content, layout.read)
    columns = frozenset(table.columns)
    if missing := required_columns(file, mode) - columns:
        noun = "columns" if len(missing) > 1 else "column"
        raise archive_error(f"{file}[1] must have the {noun} {', '.join(sorted(missing))}")
    known = layout.required | layout.read | layout.ignored
    if unknown := {name for name in columns - known if not name.startswith(EXTENSION_COLUMN_PREFIX)}:
        raise archive_error(f"{file}[1] must not have the unknown column {min(unknown)[:64]!r}")
    return table
