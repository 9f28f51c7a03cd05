"""Rules of classes."""

import secrets

from identity_service.classes.store import ClassRow
from meno.access.v1.access_pb2 import ClassState

MAX_CLASSES = 200
"""So many fit into a token, which carries them all. Archived and deleted classes are not counted, so that
somebody may have more in use once one is taken back: their token then carries the newest."""

PURGE_DAYS = "class_purge_days"
"""The key of the configuration: for so many days a deleted class can be restored."""

# Without 0, O, 1, I and L, which look alike on a blackboard.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_HALF = 4


def new_join_code() -> str:
    """A join code such as `K7M2-9QXA`: eight of 31 characters, about 40 bits."""
    characters = [secrets.choice(_ALPHABET) for _ in range(2 * _HALF)]
    return "".join(characters[:_HALF]) + "-" + "".join(characters[_HALF:])


def normal_join_code(typed: str) -> str:
    """A join code as it is stored, however it was typed."""
    characters = "".join(character for character in typed.upper() if character.isalnum())
    return f"{characters[:_HALF]}-{characters[_HALF:]}"


def opens(join_code: str, row: ClassRow) -> bool:
    """Whether a class lets anybody in who has this code."""
    in_use = state(row) == ClassState.CLASS_STATE_ACTIVE
    return in_use and row.join_code == join_code and row.join_policy != "CLOSED"


def state(row: ClassRow) -> ClassState.ValueType:
    """In use, archived or deleted."""
    if row.deleted_at is not None:
        return ClassState.CLASS_STATE_DELETED
    if row.archived_at is not None:
        return ClassState.CLASS_STATE_ARCHIVED
    return ClassState.CLASS_STATE_ACTIVE
