"""Applies a plan: everything that it says, and nothing else, in the transaction of the import."""

from collections.abc import Iterator, Mapping
from typing import Any

from chassis import audit
from chassis.database import Transaction
from chassis.errors import ServiceUnavailable
from identity_service.account_feed import store as accounts
from identity_service.classes.rosters import changes
from identity_service.classes.rosters.plan import Entry, Place, Plan, new
from identity_service.classes.rules import new_join_code
from identity_service.people.users.rules import canonical, default_nickname
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.resources_pb2 import AuditAction


async def apply(transaction: Transaction, plan: Plan, by_user_id: str) -> None:
    """Makes, changes and ends what the plan says; its classes and people are locked."""
    keys = await _new_keys(transaction, plan)
    await _apply_to_people(transaction, plan, keys)
    await _apply_to_classes(transaction, plan, keys)
    await _apply_to_memberships(transaction, plan, keys, by_user_id)
    # One after the other, without waiting for each: there are thousands of them.
    async with transaction.connection.pipeline():
        for action, told in _told(plan, keys):
            await audit.record(transaction, action, **told)


async def _new_keys(transaction: Transaction, plan: Plan) -> dict[str, str]:
    """The ids of what is made, by what stands for them in the plan."""
    made = [*(new(one.sourced_id) for one in plan.newcomers), *(new(one) for one, _ in plan.new_classes)]
    return dict(zip(made, await changes.new_ids(transaction, len(made)), strict=True))


async def _apply_to_people(transaction: Transaction, plan: Plan, keys: Mapping[str, str]) -> None:
    run = changes.run
    users = [
        (keys[new(one.sourced_id)], one.name, default_nickname(one.name), one.role, one.grade)
        for one in plan.newcomers
    ]
    await run(transaction, changes.ADD_USERS, users, "user_id", "name", "nickname", "role", "grade")
    identifiers = [*_identifiers(plan, keys)]
    columns = ("user_id", "kind", "value", "canonical")
    if await run(transaction, changes.ADD_IDENTIFIERS, identifiers, *columns) < len(identifiers):
        raise ServiceUnavailable("Somebody took an address of the roster meanwhile. Try again.")
    rostered = [(one.sourced_id, keys[new(one.sourced_id)]) for one in plan.newcomers] + plan.recognised
    await run(transaction, changes.ADD_ROSTER_USERS, rostered, "sourced_id", "user_id")
    await run(transaction, changes.RENAME, plan.renamed, "user_id", "name")
    await run(transaction, changes.PROMOTE, [(user_id,) for user_id, _ in plan.promoted], "user_id")


def _identifiers(plan: Plan, keys: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """What people may sign in with from now on: a mere claim, until they prove it."""
    for one in plan.newcomers:
        for kind, value in (("LOGIN_NAME", one.login_name), ("EMAIL", one.email), ("PHONE", one.phone)):
            if value:
                yield keys[new(one.sourced_id)], kind, value, canonical(value)
    for user_id, kind, value in plan.addressed:
        yield user_id, kind, value, canonical(value)


async def _apply_to_classes(transaction: Transaction, plan: Plan, keys: Mapping[str, str]) -> None:
    run = changes.run
    made = [(keys[new(sourced_id)], title, new_join_code()) for sourced_id, title in plan.new_classes]
    await run(transaction, changes.ADD_CLASSES, made, "class_id", "title", "join_code")
    await run(transaction, changes.ADD_JOIN_CODES, made, "class_id", "title", "join_code")
    rostered = [(sourced_id, keys[new(sourced_id)]) for sourced_id, _ in plan.new_classes]
    await run(transaction, changes.ADD_ROSTER_CLASSES, rostered, "sourced_id", "class_id")
    await run(transaction, changes.RETITLE, plan.retitled, "class_id", "title")
    await run(transaction, changes.ARCHIVE, [(class_id,) for class_id in plan.archived], "class_id")
    for class_id in plan.archived:
        await accounts.change_class(transaction, class_id, ClassState.CLASS_STATE_ARCHIVED)


async def _apply_to_memberships(
    transaction: Transaction, plan: Plan, keys: Mapping[str, str], by_user_id: str
) -> None:
    run = changes.run
    columns = ("class_id", "user_id", "role", "sourced_id")
    entering = [_entry(one, keys) for one in plan.entering]
    await run(transaction, changes.ENTER, entering, *columns)
    await run(transaction, changes.ENTER_BY_USER, entering, *columns)
    changing = [_entry(one, keys) for one in plan.changing]
    await run(transaction, changes.CHANGE, changing, *columns)
    await run(transaction, changes.CHANGE_BY_USER, changing, *columns)
    ending = [place for place, _ in plan.ending]
    await run(transaction, changes.END, ending, *columns[:2], ended_by_user_id=by_user_id)
    await run(transaction, changes.END_BY_USER, ending, *columns[:2])
    demoted = {one.place.user_key for one in plan.changing if one.before == "TEACHER" != one.role}
    await accounts.lose_rights_of_many(transaction, sorted({place.user_key for place in ending} | demoted))


def _entry(entry: Entry, keys: Mapping[str, str]) -> tuple[str, str, str, str]:
    place = _given(entry.place, keys)
    return place.class_key, place.user_key, entry.role, entry.sourced_id


def _given(place: Place, keys: Mapping[str, str]) -> Place:
    return Place(*(keys.get(key, key) for key in place))


def _told(plan: Plan, keys: Mapping[str, str]) -> Iterator[tuple[AuditAction.ValueType, dict[str, Any]]]:
    """What the audit tells of: each account, class and membership that is another now, and the import."""
    for newcomer in plan.newcomers:
        user_id = keys[new(newcomer.sourced_id)]
        yield AuditAction.AUDIT_ACTION_USER_CREATED, {"user_id": user_id, "role": newcomer.role}
    for user_id, before in plan.promoted:
        told = {"user_id": user_id, "before": before, "after": "TEACHER"}
        yield AuditAction.AUDIT_ACTION_USER_ROLE_SET, told
    for sourced_id, _ in plan.new_classes:
        yield AuditAction.AUDIT_ACTION_CLASS_CREATED, {"class_id": keys[new(sourced_id)]}
    for class_id in plan.archived:
        yield AuditAction.AUDIT_ACTION_CLASS_ARCHIVED, {"class_id": class_id}
    for entry in plan.entering:
        who = _who(_given(entry.place, keys))
        yield AuditAction.AUDIT_ACTION_MEMBERSHIP_ADDED, {**who, "role": entry.role, "how": "ROSTER"}
    for entry in plan.changing:
        if entry.before != entry.role:
            told = {**_who(entry.place), "before": entry.before, "after": entry.role}
            yield AuditAction.AUDIT_ACTION_MEMBERSHIP_ROLE_SET, told
    for place, _ in plan.ending:
        yield AuditAction.AUDIT_ACTION_MEMBERSHIP_ENDED, {**_who(place), "how": "ROSTER"}
    counts = {
        f"{what.removesuffix('.csv')}_{change.lower()}": n for (what, change), n in plan.counts().items()
    }
    yield AuditAction.AUDIT_ACTION_ROSTER_IMPORTED, counts


def _who(place: Place) -> dict[str, Any]:
    return {"user_id": place.user_key, "class_id": place.class_key}
