"""References to API keys: `env:NAME` or `file:PATH`, never the key itself.

An administrator may enter references, but must not get access to the other secrets of the machine. A reference
therefore cannot name a variable of the services, or a file outside of the key directory.
"""

import os
import re
from pathlib import Path

MAX_KEY_CHARACTERS = 4096

# MENO_ variables are settings of the services. libpq and the clients of file stores read the other variables.
_RESERVED_PREFIXES = ("MENO_", "PG", "AWS_", "AZURE_STORAGE_")
# Kubernetes mounts the token of the service account into /run/secrets.
_KUBERNETES_DIRECTORY = "kubernetes.io"
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Other content must not be sent in a header or occur in an error message.
_KEY = re.compile(r"[!-~]+")


class SecretUnavailable(ValueError):
    """A reference that is not allowed or does not lead to a key. The text never contains the content."""


def check(reference: str, directory: Path) -> None:
    """Checks that a reference is allowed, whether or not a key exists. An empty reference is allowed.

    `directory` is the key directory, to which paths are relative. Raises SecretUnavailable.
    """
    kind, _, target = reference.partition(":")
    if not reference:
        return
    if kind == "env":
        _check_variable_name(target)
    elif kind == "file":
        _check_path(target, directory)
    else:
        raise SecretUnavailable("must be env:NAME or file:PATH, not the key itself")


def read(reference: str, directory: Path) -> str:
    """Returns the key of a reference on this machine; empty for an empty reference.

    Raises SecretUnavailable if the reference is not allowed or does not lead to a key.
    """
    check(reference, directory)
    if not reference:
        return ""
    kind, _, target = reference.partition(":")
    key = _read_variable(target) if kind == "env" else _read_file(directory / target, directory)
    if not _KEY.fullmatch(key) or len(key) > MAX_KEY_CHARACTERS:
        raise SecretUnavailable("must lead to a key: one line of printable ASCII characters without spaces")
    return key


def _check_variable_name(name: str) -> None:
    if not _VARIABLE_NAME.fullmatch(name):
        raise SecretUnavailable("must contain the name of an environment variable after env:")
    if name.upper().startswith(_RESERVED_PREFIXES):
        prefixes = ", ".join(_RESERVED_PREFIXES)
        raise SecretUnavailable(f"must not name a variable of the services (prefixes {prefixes})")


def _check_path(path: str, directory: Path) -> None:
    if "\0" in path or ".." in Path(path).parts or not _is_below(directory / path, directory):
        raise SecretUnavailable(f"must be a path of a file in {directory}")


def _is_below(file: Path, directory: Path) -> bool:
    parts = file.relative_to(directory).parts if file.is_relative_to(directory) else ()
    return bool(parts) and _KUBERNETES_DIRECTORY not in parts


def _read_variable(name: str) -> str:
    if name not in os.environ:
        raise SecretUnavailable("the referenced environment variable does not exist on this machine")
    return os.environ[name].strip()


def _read_file(file: Path, directory: Path) -> str:
    try:
        resolved = file.resolve()
        # Links inside of the directory are allowed, because Kubernetes mounts secrets as links.
        if not _is_below(resolved, directory.resolve()) or not resolved.is_file():
            raise SecretUnavailable(f"the referenced file does not exist in {directory} on this machine")
        with resolved.open(encoding="utf-8", errors="replace") as content:
            return content.read(2 * MAX_KEY_CHARACTERS).strip()
    except (OSError, RuntimeError) as error:
        raise SecretUnavailable("the referenced file cannot be read on this machine") from error
