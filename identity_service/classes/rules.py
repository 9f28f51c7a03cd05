"""Rules of classes."""

from collections.abc import Callable

from identity_service.classes.types import ClassChanges, ClassFields, ClassRow
from meno.access.v1.access_pb2 import ClassState

MAX_CLASSES = 200
"""The number of active classes of one user. An access token lists all of them, so this bounds its size.

Archived and deleted classes do not count. A user can therefore exceed the limit if a class is unarchived or
undeleted; their token then lists only the newest classes.
"""

PURGE_DAYS = "class_purge_days"
"""The configuration key for the number of days during which a deleted class can be restored."""

# Without 0, O, 1, I and L, because they look alike on a blackboard.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_HALF = 4


def new_join_code(choose: Callable[[str], str]) -> str:
    """Returns a join code such as `K7M2-9QXA`: eight of 31 characters, about 40 bits.

    `choose` returns a random character of a string. It must be `secrets.choice`, except in tests.
    """
    characters = [choose(_ALPHABET) for _ in range(2 * _HALF)]
    return "".join(characters[:_HALF]) + "-" + "".join(characters[_HALF:])


def normalize_join_code(typed: str) -> str:
    """Returns a typed join code in its stored form: upper case, with one hyphen in the middle."""
    characters = "".join(character for character in typed.upper() if character.isalnum())
    return f"{characters[:_HALF]}-{characters[_HALF:]}"


def matches_join_code(row: ClassRow, join_code: str) -> bool:
    """Returns whether users can join the class with this join code."""
    active = state(row) == ClassState.CLASS_STATE_ACTIVE
    return active and row.join_code == join_code and row.join_policy != "CLOSED"


def state(row: ClassRow) -> ClassState.ValueType:
    """Returns the state of a class: active, archived or deleted."""
    if row.deleted_at is not None:
        return ClassState.CLASS_STATE_DELETED
    if row.archived_at is not None:
        return ClassState.CLASS_STATE_ARCHIVED
    return ClassState.CLASS_STATE_ACTIVE


def apply_changes(row: ClassRow, changes: ClassChanges) -> ClassFields:
    """Returns the fields of a class after an update."""
    return ClassFields(
        title=row.title if changes.title is None else changes.title,
        description=row.description if changes.description is None else changes.description,
        join_policy=row.join_policy if changes.join_policy is None else changes.join_policy,
    )
