"""The stored sign-in at an installation, in a file that only its owner can read."""

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

_MIN_REMAINING_SECONDS = 20.0
"""An access token with less remaining lifetime is refreshed before use."""


@dataclass(frozen=True)
class Credentials:
    """A sign-in."""

    user_id: str
    name: str
    """The identifier that the user signed in with."""
    refresh_token: str
    access_token: str
    expires_at: float
    """Expiry of the access token, in seconds since the epoch."""

    @property
    def fresh(self) -> bool:
        """Whether the access token has enough lifetime left to be used."""
        return time.time() < self.expires_at - _MIN_REMAINING_SECONDS


def load(file: Path) -> Credentials | None:
    """Returns the stored sign-in, or None. Raises CliError if the file is invalid."""
    found = read(file)
    try:
        return Credentials(**found) if found else None
    except TypeError:
        raise CliError(f"{file} is not a valid sign-in: delete it and sign in again") from None


def save(file: Path, credentials: Credentials) -> None:
    """Replaces the stored sign-in. Raises CliError if the file cannot be written."""
    write(file, asdict(credentials))


@contextlib.contextmanager
def refresh_lock(file: Path) -> Iterator[None]:
    """Holds the lock of a sign-in for the body.

    A refresh token can be used only once, so only one command may refresh at a time.
    """
    make_directory(file.parent)
    lock = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def read(file: Path) -> dict[str, Any]:
    """Returns the JSON object in a file, or an empty one without a file. Raises CliError if it is invalid."""
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}


def write(file: Path, content: dict[str, Any]) -> None:
    """Replaces a file atomically, readable only by its owner. Raises CliError if it cannot be written."""
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
    """Creates a directory that only its owner can read. Raises CliError if it cannot be created."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CliError(f"cannot create {directory}: {error.strerror or error}") from error
