"""What is in a backup, and whether it is still what was put there."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.stack.errors import CliError

FORMAT = 1
NAME = "manifest.json"
SEAL = "manifest.json.sha256"
"""As `sha256sum --check` reads it."""
STORAGE = "storage"
ARRIVING = "#"
"""In the name of a file that is not whole yet; the object store names them so as well."""

_PIECE = 2**20


@dataclass(frozen=True)
class Dumped:
    """One database."""

    file: str
    revision: str
    """The newest migration that it had."""
    rows: dict[str, int]
    """Of each table."""


@dataclass(frozen=True)
class Content:
    """One file of the backup."""

    bytes: int
    sha256: str


@dataclass
class Manifest:
    """The whole backup."""

    meno: str
    """The version that made it."""
    created: str
    """RFC 3339."""
    postgres: str
    format: int = FORMAT
    databases: dict[str, Dumped] = field(default_factory=dict)
    files: dict[str, Content] = field(default_factory=dict)
    """By their path in the backup."""
    audit_head: dict[str, Any] = field(default_factory=dict)
    """`sequence` and `digest` of the last audit entry; nothing of an empty chain."""
    erasures: list[str] = field(default_factory=list)
    """Ids of the people who had been erased."""

    @property
    def stored(self) -> Iterator[str]:
        """The uploaded files, by their path among them."""
        prefix = f"{STORAGE}/"
        return (name.removeprefix(prefix) for name in self.files if name.startswith(prefix))

    def write(self, directory: Path) -> None:
        """Writes the manifest and its seal; the last that is written of a backup."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
        (directory / NAME).write_text(text)
        (directory / SEAL).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  {NAME}\n")


def read(directory: Path) -> Manifest:
    """The manifest of a backup. Raises CliError where it is none, was changed, or is of another format."""
    file = directory / NAME
    if not file.is_file():
        raise CliError(f"there is no {file}: is it a backup?")
    try:
        sealed = (directory / SEAL).read_text().split()[0]
    except (OSError, IndexError):
        raise CliError(f"{directory / SEAL} is missing: the manifest cannot be trusted") from None
    if sealed != digest(file):
        raise CliError(f"{file} was changed since the backup: its checksum is another")
    return read_file(file)


def read_file(file: Path) -> Manifest:
    """A manifest alone. Raises CliError."""
    try:
        content: dict[str, Any] = json.loads(file.read_text())
        if content["format"] != FORMAT:
            raise CliError(
                f"{file} has format {content['format']}, this Meno reads {FORMAT}: use the one that made it"
            )
        databases = {name: Dumped(**one) for name, one in content.pop("databases").items()}
        files = {name: Content(**one) for name, one in content.pop("files").items()}
        return Manifest(**content, databases=databases, files=files)
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CliError(f"{file} is no manifest of a backup") from error


def check(directory: Path, manifest: Manifest, progress: Callable[[str], None]) -> None:
    """Raises CliError for the first file that is missing or is not what was written."""
    for name, content in manifest.files.items():
        progress(name)
        file = directory / name
        if ".." in Path(name).parts or not file.resolve().is_relative_to(directory.resolve()):
            raise CliError(f"the manifest names {name}, which is no file of the backup")
        if not file.is_file():
            raise CliError(f"{file} is missing: the backup is not whole")
        if file.stat().st_size != content.bytes or digest(file) != content.sha256:
            raise CliError(f"{file} was changed since the backup: its checksum is another")


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def copied(source: Path, target: Path) -> Content:
    """Copies a file; returns what was read."""
    sha256, size = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    target.touch(mode=0o600)
    with source.open("rb") as read, target.open("wb") as written:
        while piece := read.read(_PIECE):
            sha256.update(piece)
            size += len(piece)
            written.write(piece)
    return Content(size, sha256.hexdigest())
