"""Rules of classes."""

import secrets
from collections.abc import Iterable

MAX_CLASSES = 200
"""So many fit into a token, which carries them all."""

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


def loses_last_teacher(teachers: Iterable[str], user_id: str) -> bool:
    """Whether a class is left without a teacher when this person ceases to be one."""
    return set(teachers) == {user_id}
