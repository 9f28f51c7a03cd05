"""Where the key of a model is: a reference, `env:NAME` or `file:PATH`, and never the key itself.

Who may write a reference is not always whom the machine trusts with its secrets. So a reference leads
to no variable that is the service's own, and to no file outside of the directory that holds such keys.
"""

import os
import re
from pathlib import Path

MAX_LENGTH = 4096
"""Characters of the longest key."""

# Settings are read whatever their case; libpq and the clients of file stores read variables of their own.
_OF_SERVICES = ("MENO_", "PG", "AWS_", "AZURE_STORAGE_")
# What Kubernetes puts into /run/secrets by itself.
_OF_PLATFORM = "kubernetes.io"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What is no key may not leave in a header, nor in what is said of a faulty one.
_KEY = re.compile(r"[!-~]+")


class SecretUnavailable(ValueError):
    """Why a reference is refused, or leads to no key. It never shows what is there."""


def check(reference: str, directory: Path) -> None:
    """Passes a reference that may be followed, whether or not anything is there, and an empty one.

    `directory` holds the files that references may lead to; a relative path begins there. Raises SecretUnavailable.
    """
    kind, _, where = reference.partition(":")
    if not reference:
        return
    if kind == "env":
        _check_name(where)
    elif kind == "file":
        _check_path(where, directory)
    else:
        raise SecretUnavailable("write env:NAME or file:PATH, never the key itself")


def read(reference: str, directory: Path) -> str:
    """The key that a reference leads to on this machine; empty for an empty reference. Raises SecretUnavailable."""
    check(reference, directory)
    if not reference:
        return ""
    kind, _, where = reference.partition(":")
    key = _variable(where) if kind == "env" else _content(directory / where, directory)
    if not _KEY.fullmatch(key) or len(key) > MAX_LENGTH:
        raise SecretUnavailable("it does not lead to a key: one line of letters, digits and signs")
    return key


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SecretUnavailable("env: is followed by the name of a variable")
    if name.upper().startswith(_OF_SERVICES):
        raise SecretUnavailable(f"variables that begin with {', '.join(_OF_SERVICES)} are the services' own")


def _check_path(path: str, directory: Path) -> None:
    if "\0" in path or ".." in Path(path).parts or not _is_below(directory / path, directory):
        raise SecretUnavailable(f"the file lies in {directory}, and the path does not lead out of it")


def _is_below(file: Path, directory: Path) -> bool:
    inside = file.relative_to(directory).parts if file.is_relative_to(directory) else ()
    return bool(inside) and _OF_PLATFORM not in inside


def _variable(name: str) -> str:
    if name not in os.environ:
        raise SecretUnavailable("there is no such variable on this machine")
    return os.environ[name].strip()


def _content(file: Path, directory: Path) -> str:
    try:
        found = file.resolve()
        # A link inside of the directory is how secrets are mounted; one that leads out of it is not.
        if not _is_below(found, directory.resolve()) or not found.is_file():
            raise SecretUnavailable(f"there is no such file in {directory} on this machine")
        with found.open(encoding="utf-8", errors="replace") as content:
            return content.read(2 * MAX_LENGTH).strip()
    except (OSError, RuntimeError) as error:
        raise SecretUnavailable("the file cannot be read on this machine") from error
