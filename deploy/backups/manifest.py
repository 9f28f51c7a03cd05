"""The manifest of a backup: its contents with their checksums."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.stack.errors import CliError

FORMAT = 1
NAME = "manifest.json"
CHECKSUM = "manifest.json.sha256"
"""The checksum of the manifest, in the format of `sha256sum --check`."""
STORAGE = "storage"
UPLOADING_PREFIX = "#"
"""Part of the name of an incomplete file. The object store uses the same mark for uploads in progress."""

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Dump:
    """The dump of a database."""

    file: str
    revision: str
    """The latest migration that was applied."""
    rows: dict[str, int]
    """Number of rows by table."""


@dataclass(frozen=True)
class FileInfo:
    """Size and checksum of a file in the backup."""

    bytes: int
    sha256: str


@dataclass
class Manifest:
    """The contents of a backup."""

    meno: str
    """The version of Meno that made the backup."""
    created: str
    """Time in RFC 3339 format."""
    postgres: str
    format: int = FORMAT
    databases: dict[str, Dump] = field(default_factory=dict)
    files: dict[str, FileInfo] = field(default_factory=dict)
    """Files by their path in the backup."""
    audit_head: dict[str, Any] = field(default_factory=dict)
    """`sequence` and `digest` of the last audit entry; empty for an empty chain."""
    erasures: list[str] = field(default_factory=list)
    """Ids of the users that had been erased."""

    @property
    def stored_files(self) -> Iterator[str]:
        """Yields the paths of the uploaded files, relative to the storage directory."""
        prefix = f"{STORAGE}/"
        return (name.removeprefix(prefix) for name in self.files if name.startswith(prefix))

    def write(self, directory: Path) -> None:
        """Writes the manifest and its checksum. They are written last."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
        (directory / NAME).write_text(text)
        (directory / CHECKSUM).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  {NAME}\n")


def read(directory: Path) -> Manifest:
    """Returns the manifest of a backup.

    Raises CliError if it is missing, was changed, or has an unsupported format.
    """
    file = directory / NAME
    if not file.is_file():
        raise CliError(f"{file} does not exist: give the directory of a backup")
    try:
        expected = (directory / CHECKSUM).read_text().split()[0]
    except (OSError, IndexError):
        raise CliError(f"{directory / CHECKSUM} is missing, so the manifest cannot be verified") from None
    if expected != digest(file):
        raise CliError(f"{file} was changed after the backup: its checksum does not match")
    return read_file(file)


def read_file(file: Path) -> Manifest:
    """Returns the manifest in a file, without checking its checksum. Raises CliError if it is invalid."""
    try:
        content: dict[str, Any] = json.loads(file.read_text())
        if content["format"] != FORMAT:
            raise CliError(
                f"{file} has format {content['format']}, this version of Meno reads {FORMAT}: use the one that made it"
            )
        databases = {name: Dump(**one) for name, one in content.pop("databases").items()}
        files = {name: FileInfo(**one) for name, one in content.pop("files").items()}
        return Manifest(**content, databases=databases, files=files)
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CliError(f"{file} is not the manifest of a backup") from error


def verify_files(directory: Path, manifest: Manifest, progress: Callable[[str], None]) -> None:
    """Raises CliError if a file is missing, was changed, or is outside the backup."""
    for name, content in manifest.files.items():
        progress(name)
        file = directory / name
        if not _is_plain(name) or not file.resolve().is_relative_to(directory.resolve()):
            raise CliError(f"the manifest lists {name}, which is not a file of the backup")
        if not file.is_file():
            raise CliError(f"{file} is missing: the backup is incomplete")
        if file.stat().st_size != content.bytes or digest(file) != content.sha256:
            raise CliError(f"{file} was changed after the backup: its checksum does not match")


def _is_plain(name: str) -> bool:
    """Returns whether a path in a manifest stays relative and inside, also without its first directory.

    Without it, `storage//etc/passwd` would be the absolute path `/etc/passwd`.
    """
    return all(part not in {"", ".", ".."} for part in name.split("/"))


def digest(file: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def copy_file(source: Path, target: Path) -> FileInfo:
    """Copies a file. Returns size and checksum of the copy."""
    sha256, size = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    target.touch(mode=0o600)
    with source.open("rb") as read, target.open("wb") as written:
        while chunk := read.read(_CHUNK_BYTES):
            sha256.update(chunk)
            size += len(chunk)
            written.write(chunk)
    return FileInfo(size, sha256.hexdigest())
