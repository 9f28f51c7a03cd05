"""Value types of users."""

from datetime import date, datetime
from typing import Any, NamedTuple

_ABSENT = ("", False)


class UserRow(NamedTuple):
    """A user, with their login identifiers and the time zone of their preferences."""

    user_id: str
    display_name: str
    full_name: str
    nickname: str
    age: int | None
    grade: int | None
    board: str
    school_name: str
    about_me: str
    onboarding_complete: bool
    role: str
    guest: bool
    rights_version: int
    xp: int
    level: int
    streak: int
    streak_day: date | None
    streak_time_zone: str | None
    last_active_at: datetime
    last_sign_in_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    deactivated_at: datetime | None
    deleted_at: datetime | None
    identifiers: dict[str, list[Any]] | None
    """`[value, verified]` by kind."""
    identity_issuers: list[str]
    time_zone: str | None

    def identifier(self, kind: str) -> str:
        """Returns the login identifier of this kind, or an empty string."""
        value, _ = (self.identifiers or {}).get(kind, _ABSENT)
        return str(value)

    def has_verified(self, kind: str) -> bool:
        """Returns whether the user has verified their address of this kind."""
        _, verified = (self.identifiers or {}).get(kind, _ABSENT)
        return bool(verified)

    def profile(self) -> "Profile":
        """Returns the fields that the user may change."""
        return Profile(*(getattr(self, name) for name in Profile._fields))


class NewUser(NamedTuple):
    """A user to insert."""

    display_name: str
    nickname: str
    role: str


class Identifier(NamedTuple):
    """A login identifier: the text that the user entered, and the form in which it is compared."""

    kind: str
    value: str
    canonical: str


class Profile(NamedTuple):
    """The fields that a user may change in their profile."""

    display_name: str
    full_name: str
    nickname: str
    age: int | None
    grade: int | None
    board: str
    school_name: str
    about_me: str


class ClaimRow(NamedTuple):
    """The account of a user who has not verified an address."""

    deleted: bool
    used: bool
    """Whether the account was ever signed in to, or has a password."""


class NameRow(NamedTuple):
    """The names of a user."""

    user_id: str
    display_name: str
    nickname: str
