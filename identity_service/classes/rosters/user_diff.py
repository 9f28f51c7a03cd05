"""Compares the users of a roster with the users of the installation."""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from identity_service.classes.rosters.layout import ROLES, USERS
from identity_service.classes.rosters.plan import (
    ADDED,
    CHANGED,
    UNCHANGED,
    Claim,
    NewUser,
    Plan,
    RenamedUser,
    new_key,
)
from identity_service.classes.rosters.records import ColumnError, Roster, RowError, UserRecord
from identity_service.classes.rosters.references import References
from identity_service.classes.rosters.types import IdentifierOwnerRow, RosterUserRow, State
from identity_service.people.users.rules import canonicalize, default_display_name

_PROMOTABLE_ROLES = ("UNASSIGNED", "STUDENT")
"""A roster can make users with these roles teachers. It never lowers a role."""

_ExistingUser: TypeAlias = RosterUserRow | IdentifierOwnerRow


class _Address(NamedTuple):
    column: str
    kind: str
    value: str
    canonical: str


def compare(plan: Plan, roster: Roster, state: State) -> References:
    """Adds the changes of users to a plan. Returns the users that enrolments may refer to."""
    existing_ids = {sourced_id: row.user_id for sourced_id, row in state.users.items()}
    users = References.of(USERS, roster, roster.users, existing_ids)
    comparison = _Comparison(plan, roster, state)
    for record in roster.users.values():
        try:
            key = comparison.compare(record)
        except ColumnError as error:
            users.invalid.add(record.sourced_id)
            plan.add_error(RowError(USERS, record.line, record.sourced_id, error.column, error.problem))
        else:
            users.keys |= {record.sourced_id: key} if key else {}
    comparison.compare_roles(users)
    return users


class _Comparison:
    def __init__(self, plan: Plan, roster: Roster, state: State) -> None:
        self._plan = plan
        self._roster = roster
        self._state = state
        self._claimed: dict[str, int] = {}
        """The line that claims a login name, an address or a user id."""

    def compare(self, record: UserRecord) -> str | None:
        """Compares one row. Returns the key of its user, or None if the row is not active.

        Raises ColumnError.
        """
        row_key = (USERS, record.line, record.sourced_id)
        if not record.active:
            self._plan.add_change(UNCHANGED, *row_key)
            return None
        user: _ExistingUser | None = self._state.users.get(record.sourced_id)
        columns: list[str] = []
        notes: list[str] = []
        if user is None:
            user = self._match(record)
            if user is None:
                new, notes = self._new_user(record)
                self._plan.new_users.append(new)
                self._plan.add_change(ADDED, *row_key, problem="; ".join(notes))
                return new_key(record.sourced_id)
            self._plan.matched_users.append((record.sourced_id, user.user_id))
            columns.append("sourcedId")
        columns += self._changed_columns(record, user, notes)
        self._plan.add_change(
            CHANGED if columns else UNCHANGED, *row_key, columns=tuple(columns), problem="; ".join(notes)
        )
        return user.user_id

    def compare_roles(self, users: References) -> None:
        """Compares the teachers whose user has no row in this roster."""
        for sourced_id, role in self._roster.teachers.items():
            user = self._state.users.get(sourced_id)
            row_key = (ROLES, role.line, role.sourced_id)
            if sourced_id in users.listed or sourced_id in users.invalid:
                continue
            if user is None or users.complete:
                problem = f"must refer to a row of {USERS} or of an earlier import"
                self._plan.add_error(RowError(*row_key, "userSourcedId", problem))
            elif user.role in _PROMOTABLE_ROLES:
                self._plan.promoted_users.append((user.user_id, user.role))
                self._plan.add_change(CHANGED, *row_key, columns=("role",))

    def _match(self, record: UserRecord) -> IdentifierOwnerRow | None:
        """Returns the existing user who has verified an address of the row, or None."""
        found: dict[str, IdentifierOwnerRow] = {}
        for address in _addresses(record):
            self._claim(address.column, address.canonical, record.line)
            owner = self._state.owners.get(address.canonical)
            if owner is None or owner.is_claim():
                continue
            if not owner.verified:
                problem = "must be verified by the user who has it: ask them, or leave it out"
                raise ColumnError(address.column, problem)
            if owner.deleted:
                problem = "must not belong to a deleted account: restore or erase the account"
                raise ColumnError(address.column, problem)
            if owner.rostered:
                raise ColumnError(address.column, "must not belong to a user with another sourcedId")
            found[owner.user_id] = owner
            if len(found) > 1:
                raise ColumnError(address.column, "must belong to the same user as the e-mail address")
            self._claim(address.column, owner.user_id, record.line)
        return next(iter(found.values()), None)

    def _new_user(self, record: UserRecord) -> tuple[NewUser, list[str]]:
        """Returns the user to create, and the cells that are not imported and the claims that end.

        The login name is not imported if another user has it, or an earlier row of the roster.
        """
        login_name, canonical = record.login_name, canonicalize(record.login_name)
        ignored = record.ignored
        if canonical in self._claimed or canonical in self._state.owners:
            login_name = ""
            ignored += ("username must not be in use already",)
        elif login_name:
            self._claimed[canonical] = record.line
        role = "TEACHER" if self._teaches(record) else "STUDENT"
        notes = [f"not imported: {'; '.join(ignored)}"] if ignored else []
        notes += [note for address in _addresses(record) if (note := self._release_claim(address))]
        return NewUser.of(record, role=role, login_name=login_name), notes

    def _release_claim(self, address: _Address) -> str:
        """Takes an address from a user who only claims it. Returns a note about it, or an empty text."""
        owner = self._state.owners.get(address.canonical)
        if owner is None:
            return ""
        self._plan.released_claims.append(Claim(owner.user_id, address.kind, address.canonical))
        return f"{address.column} is taken from user {owner.user_id}, who has not verified it"

    def _changed_columns(self, record: UserRecord, user: _ExistingUser, notes: list[str]) -> Iterator[str]:
        """Adds the changes of an existing user to the plan, and yields their columns.

        Adds the claims that end to `notes`.
        """
        if user.full_name != record.name:
            names = (default_display_name(record.name), default_display_name(user.full_name))
            self._plan.renamed_users.append(RenamedUser(user.user_id, record.name, *names))
            yield from ("givenName", "familyName")
        for address in _addresses(record):
            # A roster never replaces an address, because users sign in with it and change it themselves.
            if user.has_email if address.kind == "EMAIL" else user.has_phone:
                continue
            owner = self._state.owners.get(address.canonical)
            if owner is not None and not owner.is_claim():
                raise ColumnError(address.column, "must not belong to another user")
            self._claim(address.column, address.canonical, record.line)
            if note := self._release_claim(address):
                notes.append(note)
            self._plan.new_addresses.append((user.user_id, address.kind, address.value))
            yield address.column
        if self._teaches(record) and user.role in _PROMOTABLE_ROLES:
            self._plan.promoted_users.append((user.user_id, user.role))
            yield "role"

    def _teaches(self, record: UserRecord) -> bool:
        return record.teaches or record.sourced_id in self._roster.teachers

    def _claim(self, column: str, value: str, line: int) -> None:
        """Raises ColumnError if another line claims the value."""
        if self._claimed.setdefault(value, line) != line:
            raise ColumnError(column, f"must not be the same as in line {self._claimed[value]}")


def _addresses(record: UserRecord) -> Iterator[_Address]:
    for column, value in (("email", record.email), ("phone", record.phone)):
        if value:
            yield _Address(column, column.upper(), value, canonicalize(value))
