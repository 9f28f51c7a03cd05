"""Who is erased by and by: deleted people, idle guests, and what is left of merged ones."""

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from chassis.database import Database
from identity_service.administration.config.config import Config
from identity_service.lifecycle import purging
from identity_service.settings import Settings
from identity_service.tests.conftest import PASSWORD, Identity
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.admin_service_pb2 import SetConfigEntryRequest
from meno.identity.v1.auth_service_pb2 import SignUpRequest
from meno.identity.v1.user_service_pb2 import DeleteUserRequest, GetErasureRequest

DEFAULTS = Config(Settings(database_url="postgresql://", secret="x" * 32, tls_directory=Path()))


def live(identity: Identity, **ages: Any) -> str:
    """Somebody, with columns of whom `ages` says the values; a timedelta is a time so long ago."""
    user_id = str(uuid.uuid4())
    values = {"user_id": user_id, "display_name": "A", "nickname": "AA", "role": "STUDENT", **ages}
    places = ", ".join(
        f"now() - %({name})s" if isinstance(value, timedelta) else f"%({name})s"
        for name, value in values.items()
    )
    with psycopg.connect(identity.database_url) as connection:
        connection.execute(f"INSERT INTO users ({', '.join(values)}) VALUES ({places})".encode(), values)
    return user_id


def execute(identity: Identity, query: str) -> None:
    with psycopg.connect(identity.database_url) as connection:
        connection.execute(query.encode())


def there(identity: Identity, *user_ids: str) -> set[str]:
    with psycopg.connect(identity.database_url) as connection:
        found = connection.execute(
            "SELECT user_id::text FROM users WHERE user_id = ANY (%s::uuid[])", [[*user_ids]]
        )
        return {user_id for [user_id] in found}


async def test_who_was_deleted_is_erased_when_the_time_is_over(
    identity: Identity, database: Database
) -> None:
    admin, person = await identity.sign_up_admin(), await identity.sign_up("Wilma")
    await identity.users.DeleteUser(DeleteUserRequest(user_id="me"), **person.auth)
    execute(identity, "UPDATE users SET deleted_at = now() - interval '31 days' WHERE deleted_at IS NOT NULL")
    stays = live(identity, deleted_at=timedelta(days=29))
    await purging.purge_once(database, DEFAULTS)
    assert there(identity, person.user_id, stays, admin.user_id) == {stays, admin.user_id}
    erasure = await identity.users.GetErasure(GetErasureRequest(user_id=person.user_id), **admin.auth)
    assert [receipt.service for receipt in erasure.receipts] == ["identity_service"]
    # The name is free again.
    await identity.auth.SignUp(SignUpRequest(login_name="wilma", display_name="Wilma", password=PASSWORD))
    entry = SetConfigEntryRequest(key="user_purge_days")
    entry.value.number_value = 28
    await identity.admin.SetConfigEntry(entry, **admin.auth)
    audited = await identity.audited(admin, user_id=person.user_id)
    [by] = [one.actor_user_id for one in audited if one.action == AuditAction.AUDIT_ACTION_USER_ERASED]
    assert by == ""
    await purging.purge_once(database, DEFAULTS)
    assert there(identity, stays) == set()


async def test_a_guest_who_uses_nothing_is_forgotten(identity: Identity, database: Database) -> None:
    old, young = timedelta(days=31), timedelta(days=29)
    idle = live(identity, guest=True, last_active_at=old)
    stays = [live(identity, guest=True, last_active_at=young), live(identity, last_active_at=old)]
    signed_in, refreshed, left = (live(identity, guest=True, last_active_at=old) for _ in range(3))
    with psycopg.connect(identity.database_url) as connection:
        for user_id, begun, rotated in ((signed_in, young, None), (refreshed, old, young), (left, old, old)):
            connection.execute(
                "INSERT INTO sign_ins (user_id, current_hash, created_at, rotated_at, expires_at)"
                " VALUES (%s, '', now() - %s, now() - %s::interval, now())",
                [user_id, begun, rotated],
            )
    await purging.purge_once(database, DEFAULTS)
    everybody = (idle, *stays, signed_in, refreshed, left)
    assert there(identity, *everybody) == {*stays, signed_in, refreshed}


async def test_what_is_left_of_a_merged_guest_goes_after_a_day(
    identity: Identity, database: Database
) -> None:
    person = live(identity)
    merged = {"guest": True, "merged_into_user_id": person, "last_active_at": timedelta(days=90)}
    fresh, stale = (live(identity, deleted_at=timedelta(hours=hours), **merged) for hours in (23, 25))
    await purging.purge_once(database, DEFAULTS)
    assert there(identity, person, fresh, stale) == {person, fresh}


async def test_several_replicas_erase_everybody_once(identity: Identity, database: Database) -> None:
    due = [live(identity, deleted_at=timedelta(days=40 + n)) for n in range(6)]
    await asyncio.gather(*(purging.purge_once(database, DEFAULTS) for _ in range(4)))
    await purging.purge_once(database, DEFAULTS)
    assert there(identity, *due) == set()
    with psycopg.connect(identity.database_url) as connection:
        [[events]] = connection.execute("SELECT count(*) FROM account_events WHERE kind = 'user_erased'")
    assert events == len(due)
