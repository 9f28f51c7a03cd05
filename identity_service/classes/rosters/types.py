"""Value types of rosters: the stored rows that a roster is compared with."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class RosterUserRow(NamedTuple):
    """A user that an earlier roster contained."""

    sourced_id: str
    user_id: str
    full_name: str
    role: str
    active: bool
    has_email: bool
    has_phone: bool


class IdentifierOwnerRow(NamedTuple):
    """The user that a login name, an e-mail address or a phone number belongs to."""

    canonical: str
    """The identifier in the form in which it is compared."""
    verified: bool
    deleted: bool
    used: bool
    """Whether the account was ever signed in to, or has a password."""
    rostered: bool
    """Whether an earlier roster contained the user."""
    user_id: str
    full_name: str
    role: str
    active: bool
    has_email: bool
    has_phone: bool

    def is_claim(self) -> bool:
        """Returns whether the user only claims the address, so that the roster may assign it to another user.

        An account that an administrator or a roster created for the address, and that nobody has used, keeps it.
        """
        return not self.verified and (self.deleted or self.used)


class RosterClassRow(NamedTuple):
    """A class that an earlier roster contained."""

    sourced_id: str
    class_id: str
    title: str
    archived: bool
    deleted: bool


class MemberRow(NamedTuple):
    """A member of a class that an earlier roster contained, even if the member did not come from a roster."""

    class_id: str
    user_id: str
    role: str
    sourced_id: str | None
    """The `sourcedId` of the enrolment; None if the membership did not come from a roster."""
    user_sourced_id: str | None
    active: bool
    """Whether the account of the user is active."""


class ClassCountRow(NamedTuple):
    """The number of active classes of a user."""

    user_id: str
    classes: int


class State(NamedTuple):
    """The part of the installation that a roster is compared with."""

    users: Mapping[str, RosterUserRow]
    """By `sourcedId`."""
    owners: Mapping[str, IdentifierOwnerRow]
    """By login identifier, in the form in which it is compared."""
    classes: Mapping[str, RosterClassRow]
    """By `sourcedId`: all classes that earlier rosters contained."""
    members: Sequence[MemberRow]
    """The members of these classes, except those of deleted classes."""
    class_counts: Mapping[str, int]
    """The number of active classes by user id."""
