"""Who is signed in at an installation, in a file for its owner alone."""

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.stack.errors import CliError

_BEFORE_THE_END = 20.0
"""Seconds for which a token must still hold to be used."""


@dataclass(frozen=True)
class Credentials:
    """A sign-in."""

    user_id: str
    name: str
    """What the person signed in with."""
    refresh_token: str
    access_token: str
    expires_at: float
    """Of the access token, seconds since the epoch."""

    @property
    def fresh(self) -> bool:
        """Whether the access token still holds for a while."""
        return time.time() < self.expires_at - _BEFORE_THE_END


def load(file: Path) -> Credentials | None:
    """Who is signed in, or None."""
    found = read(file)
    try:
        return Credentials(**found) if found else None
    except TypeError:
        raise CliError(f"{file} holds no sign-in: remove it, and sign in again") from None


def save(file: Path, credentials: Credentials) -> None:
    """Replaces the file."""
    write(file, asdict(credentials))


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keeps other commands from refreshing meanwhile: a refresh token serves once."""
    make_directory(file.parent)
    lock = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def read(file: Path) -> dict[str, Any]:
    """What a file holds; nothing where there is none. Raises CliError."""
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}


def write(file: Path, content: dict[str, Any]) -> None:
    """Replaces a file as a whole, readable by its owner alone. Raises CliError."""
    make_directory(file.parent)
    try:
        descriptor, scratch = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with os.fdopen(descriptor, "w") as new:
            json.dump(content, new, indent=1)
            new.flush()
            os.fsync(new.fileno())
        Path(scratch).replace(file)
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror or error}") from error


def make_directory(directory: Path) -> None:
    """Makes a directory for its owner alone. Raises CliError."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CliError(f"cannot make {directory}: {error.strerror or error}") from error
