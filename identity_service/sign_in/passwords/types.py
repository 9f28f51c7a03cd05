"""Value types of passwords."""

from typing import NamedTuple


class CredentialRow(NamedTuple):
    """The user of a login identifier, and the hash of their password."""

    user_id: str
    password_hash: str


class PasswordChange(NamedTuple):
    """The hash of a password, and that of the change which set it."""

    password_hash: str
    change_hash: str | None
    """The hash of the old and the new password. None if the password was not set by a change."""


class Weakness(NamedTuple):
    """The reason why a password is easy to guess."""

    rule: str
    """COMMON, REPETITION, SEQUENCE or PERSONAL, as in the contract."""
    reason: str
    """Completes the sentence `This password is easy to guess: …`."""
