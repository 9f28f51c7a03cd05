"""Value types of passwords."""

from typing import NamedTuple


class CredentialRow(NamedTuple):
    """The user of a login identifier, and the hash of their password."""

    user_id: str
    password_hash: str


class Weakness(NamedTuple):
    """The reason why a password is easy to guess."""

    rule: str
    """COMMON, REPETITION, SEQUENCE or PERSONAL, as in the contract."""
    reason: str
    """Completes the sentence `This password is easy to guess: …`."""
