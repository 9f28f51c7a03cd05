"""The purge of deleted users, idle guests and merged guests."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

from chassis.database import Database
from identity_service.account_feed import commands as account_feed
from identity_service.administration.config.reader import ConfigReader
from identity_service.lifecycle.purging import commands
from identity_service.tests.conftest import PASSWORD, Identity
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import SignUpRequest
from meno.identity.v1.user_service_pb2 import DeleteUserRequest, GetErasureRequest

DEFAULTS = ConfigReader(signup_role="STUDENT", allowed_roles=())


def insert_user(identity: Identity, **columns: Any) -> str:
    """Inserts a user and returns the id. A timedelta in `columns` is the age of a timestamp."""
    user_id = str(uuid.uuid4())
    values = {"user_id": user_id, "display_name": "A", "nickname": "AA", "role": "STUDENT", **columns}
    placeholders = ", ".join(
        f"now() - %({name})s" if isinstance(value, timedelta) else f"%({name})s"
        for name, value in values.items()
    )
    identity.execute_sql(f"INSERT INTO users ({', '.join(values)}) VALUES ({placeholders})", **values)
    return user_id


def existing_users(identity: Identity, *user_ids: str) -> set[str]:
    query = "SELECT user_id::text FROM users WHERE user_id = ANY (%s::uuid[])"
    return {*identity.read_column(query, [*user_ids])}


async def test_a_deleted_user_is_erased_after_the_configured_days(
    identity: Identity, database: Database
) -> None:
    admin, person = await identity.sign_up_admin(), await identity.sign_up("Wilma")
    await identity.users.DeleteUser(DeleteUserRequest(user_id="me"), **person.auth)
    identity.execute_sql(
        "UPDATE users SET deleted_at = now() - interval '31 days' WHERE deleted_at IS NOT NULL"
    )
    kept = insert_user(identity, deleted_at=timedelta(days=29))
    await commands.purge_users(database, DEFAULTS)
    assert existing_users(identity, person.user_id, kept, admin.user_id) == {kept, admin.user_id}
    erasure = await identity.users.GetErasure(GetErasureRequest(user_id=person.user_id), **admin.auth)
    assert [receipt.service for receipt in erasure.receipts] == ["identity_service"]
    # The login name is free again.
    await identity.auth.SignUp(SignUpRequest(login_name="wilma", display_name="Wilma", password=PASSWORD))
    await identity.set_config(admin, "user_purge_days", 28)
    audited = await identity.list_audited(admin, user_id=person.user_id)
    [by] = [one.actor_user_id for one in audited if one.action == AuditAction.AUDIT_ACTION_USER_ERASED]
    assert by == ""
    await commands.purge_users(database, DEFAULTS)
    assert existing_users(identity, kept) == set()


async def test_an_idle_guest_is_erased(identity: Identity, database: Database) -> None:
    old, young = timedelta(days=31), timedelta(days=29)
    idle = insert_user(identity, guest=True, last_active_at=old)
    kept = [
        insert_user(identity, guest=True, last_active_at=young),
        insert_user(identity, last_active_at=old),
    ]
    signed_in, refreshed, left = (insert_user(identity, guest=True, last_active_at=old) for _ in range(3))
    for user_id, created_at, rotated in (
        (signed_in, young, None),
        (refreshed, old, young),
        (left, old, old),
    ):
        identity.execute_sql(
            "INSERT INTO sign_ins (user_id, current_hash, created_at, rotated_at, expires_at)"
            " VALUES (%s, '', now() - %s, now() - %s::interval, now())",
            *(user_id, created_at, rotated),
        )
    await commands.purge_users(database, DEFAULTS)
    all_guests = (idle, *kept, signed_in, refreshed, left)
    assert existing_users(identity, *all_guests) == {*kept, signed_in, refreshed}


async def test_a_merged_guest_is_erased_after_a_day(identity: Identity, database: Database) -> None:
    person = insert_user(identity)
    merged = {"guest": True, "merged_into_user_id": person, "last_active_at": timedelta(days=90)}
    fresh, stale = (insert_user(identity, deleted_at=timedelta(hours=hours), **merged) for hours in (23, 25))
    await commands.purge_users(database, DEFAULTS)
    assert existing_users(identity, person, fresh, stale) == {person, fresh}


async def test_concurrent_purges_erase_each_user_once(identity: Identity, database: Database) -> None:
    due = [insert_user(identity, deleted_at=timedelta(days=40 + n)) for n in range(6)]
    await asyncio.gather(*(commands.purge_users(database, DEFAULTS) for _ in range(4)))
    await commands.purge_users(database, DEFAULTS)
    assert existing_users(identity, *due) == set()
    erased = identity.execute_sql("SELECT FROM account_events WHERE kind = 'user_erased'")
    assert len(erased) == len(due)


async def test_erasures_and_merges_are_published_once_more_when_no_call_can_still_write(
    identity: Identity, database: Database
) -> None:
    guest, person = str(uuid.uuid4()), str(uuid.uuid4())
    async with database.transaction() as transaction:
        await account_feed.publish_user_merged(transaction, guest, person)
        await account_feed.publish_user_erased(transaction, person)
        await account_feed.publish_signing_key_retired(transaction, "leaked")

    async def repeat_at_once() -> None:
        async with database.transaction() as transaction:
            await account_feed.repeat_due(transaction)

    read_events = (
        "SELECT kind, body ->> 'user_id', body -> 'repetition', permanent FROM account_events"
        " ORDER BY kind, sequence"
    )
    await repeat_at_once()
    assert len(identity.execute_sql(read_events)) == 3
    identity.execute_sql("UPDATE account_events SET repeat_at = repeat_at - %s", account_feed.REPEAT_AFTER)
    await asyncio.gather(*(repeat_at_once() for _ in range(4)))
    assert identity.execute_sql(read_events) == [
        ("signing_key_retired", None, None, True),
        ("user_erased", person, None, True),
        ("user_erased", person, True, True),
        ("user_merged", guest, None, True),
        ("user_merged", guest, True, True),
    ]
