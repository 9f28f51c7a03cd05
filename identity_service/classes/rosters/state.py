"""What is here of that which a roster tells of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from chassis.database import Executor
from identity_service.classes.rosters import store
from identity_service.classes.rosters.records import Roster
from identity_service.classes.rosters.store import KnownClassRow, MemberRow, OwnerRow, PersonRow
from identity_service.people.users.rules import canonical


class State(NamedTuple):
    """A part of the installation."""

    people: Mapping[str, PersonRow]
    """By `sourcedId`."""
    owners: Mapping[str, OwnerRow]
    """By login name or address, as it is compared."""
    classes: Mapping[str, KnownClassRow]
    """By `sourcedId`: every one that came by a roster."""
    members: Sequence[MemberRow]
    """Of those classes that are not deleted."""
    held: Mapping[str, int]
    """By person: in how many classes they are that are in use."""


async def load(executor: Executor, roster: Roster) -> State:
    """What a roster is to be compared with."""
    people = await store.people(executor, {*_people_named(roster)})
    owners = await store.owners(executor, {canonical(name) for name in _names(roster)})
    classes = await store.classes(executor)
    members = await store.members(executor, {row.class_id for row in classes.values() if not row.deleted})
    known = {row.user_id for row in people.values()} | {row.user_id for row in owners.values()}
    return State(people, owners, classes, members, await store.held(executor, known))


def _people_named(roster: Roster) -> Iterator[str]:
    yield from roster.users
    yield from roster.teachers
    yield from (record.user_sourced_id for record in roster.enrollments.values())


def _names(roster: Roster) -> Iterator[str]:
    """Whatever somebody may sign in with."""
    for record in roster.users.values():
        yield from filter(None, (record.login_name, record.email, record.phone))
