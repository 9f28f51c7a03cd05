"""Optimistic locking: etags and other versions that a client sends back with an update."""

from collections.abc import Callable
from typing import TypeVar

from chassis.errors import DomainError, EtagMismatch

Version = TypeVar("Version", str, int)


def etag(version: int) -> str:
    """Returns the etag of a row at this version. It is opaque to clients."""
    return f"{version:x}"


def check(given: str, version: int) -> None:
    """Checks an etag; an empty one is accepted. Raises EtagMismatch, which contains the current etag."""
    check_version(given, etag(version), EtagMismatch)


def check_version(given: Version, current: Version, mismatch: Callable[[Version], DomainError]) -> None:
    """Checks a version that a client read; an empty or zero one is accepted.

    Raises the error that `mismatch` creates from the current version.
    """
    if given and given != current:
        raise mismatch(current)
