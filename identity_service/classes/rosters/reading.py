"""From an archive to the tables of a roster. What cannot be read at all is refused; rows are judged later."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from identity_service.classes.rosters import table
from identity_service.classes.rosters.archive import unpack, unreadable
from identity_service.classes.rosters.layout import (
    ABSENT,
    BULK,
    DELTA,
    EXTENSION,
    FILES,
    LAYOUTS,
    MANIFEST,
    required,
)
from identity_service.classes.rosters.table import Table

_VERSIONS = {"manifest.version": "1.0", "oneroster.version": "1.2"}


class Tables(NamedTuple):
    """What an archive holds."""

    digest: bytes
    """Names the archive."""
    modes: Mapping[str, str]
    """Of each file that is there: BULK or DELTA."""
    tables: Mapping[str, Table]


def read(archive: bytes) -> Tables:
    """The tables of a roster. Raises FieldInvalid, which says what is wrong with it."""
    files = unpack(archive, {MANIFEST, *FILES})
    modes = _modes(files)
    tables = {file: _table(file, files[file], modes[file]) for file in modes}
    return Tables(hashlib.sha256(archive).digest(), modes, tables)


def _modes(files: Mapping[str, bytes]) -> dict[str, str]:
    """How each file is to be read, as the manifest says."""
    if MANIFEST not in files:
        raise unreadable(f"holds no {MANIFEST}")
    rows = table.parse(MANIFEST, files[MANIFEST]).rows
    properties = {row.cells.get("propertyName", ""): row.cells.get("value", "") for row in rows}
    for name, version in _VERSIONS.items():
        if properties.get(name) != version:
            raise unreadable(f"{MANIFEST}: {name} must be {version}")
    modes = {file: properties.get(f"file.{file.removesuffix('.csv')}", ABSENT) for file in FILES}
    for file, mode in modes.items():
        if mode not in (ABSENT, BULK, DELTA):
            raise unreadable(f"{MANIFEST}: {file} must be {ABSENT}, {BULK} or {DELTA}")
        if mode == ABSENT and file in files:
            listed = f"file.{file.removesuffix('.csv')}"
            said = f"calls {ABSENT}" if listed in properties else f"does not list: add {listed},{BULK}"
            raise unreadable(f"holds {file}, which {MANIFEST} {said}")
        if mode != ABSENT and file not in files:
            raise unreadable(f"holds no {file}, which {MANIFEST} calls {mode}")
    return {file: mode for file, mode in modes.items() if mode != ABSENT}


def _table(file: str, content: bytes, mode: str) -> Table:
    layout = LAYOUTS[file]
    made = table.parse(file, content, layout.read)
    columns = frozenset(made.columns)
    if missing := required(file, mode) - columns:
        columns_named = "columns" if len(missing) > 1 else "column"
        raise unreadable(f"{file}[1] lacks the {columns_named} {', '.join(sorted(missing))}")
    known = layout.required | layout.read | layout.ignored
    if unknown := {name for name in columns - known if not name.startswith(EXTENSION)}:
        raise unreadable(f"{file}[1] has an unknown column, {min(unknown)[:64]!r}")
    return made
