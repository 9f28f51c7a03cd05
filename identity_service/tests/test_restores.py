"""The commands that an operator runs after a restore."""

import uuid

import pytest

from chassis.database import Database
from chassis.testing import expect_error
from identity_service.account_feed import store as account_feed
from identity_service.lifecycle.erasures import store as erasures
from identity_service.lifecycle.restores import commands
from identity_service.tests.commands import run_command
from identity_service.tests.conftest import Identity
from identity_service.tests.test_audit import entry, record, tamper
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest
from meno.identity.v1.user_service_pb2 import GetUserRequest


async def test_a_new_epoch_ends_every_sign_in_and_detects_no_token_reuse(
    identity: Identity, database: Database
) -> None:
    person, before = await identity.sign_up(), await account_feed.get_epoch(database)
    # The backup contains this token, which has been replaced since.
    restored = person.tokens.refresh_token
    await identity.refresh(person)
    done = await run_command(identity.database_url, "begin-epoch", "-", stdin=str(uuid.uuid4()))
    assert "sign-ins ended: 1, erasures re-applied: 1" in done.stdout
    assert await account_feed.get_epoch(database) != before
    for token in (restored, person.tokens.refresh_token):
        error = await expect_error(identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=token)))
        assert error.reason == "REFRESH_TOKEN_INVALID"
    admin = await identity.sign_up_admin()
    entries = await identity.list_audited(admin)
    assert AuditAction.AUDIT_ACTION_REFRESH_TOKEN_REUSED not in {one.action for one in entries}
    [restored_entry] = [one for one in entries if one.action == AuditAction.AUDIT_ACTION_BACKUP_RESTORED]
    assert (restored_entry.actor_user_id, dict(restored_entry.details)) == ("", {"sign_ins": "1"})
    assert identity.count_rows("signing_keys") == 0


async def test_erasures_are_reapplied_once(identity: Identity, database: Database) -> None:
    person, admin, stranger = await identity.sign_up(), await identity.sign_up_admin(), str(uuid.uuid4())
    ids = [person.user_id, stranger.upper()]
    assert (
        "users erased: 2; already erased: 0"
        in (await run_command(identity.database_url, "erase", *ids)).stdout
    )
    assert (
        "users erased: 0; already erased: 2"
        in (await run_command(identity.database_url, "erase", "-", stdin="\n".join(ids))).stdout
    )
    error = await expect_error(identity.users.GetUser(GetUserRequest(user_id=person.user_id), **admin.auth))
    assert error.reason == "USER_NOT_FOUND"
    for user_id in (person.user_id, stranger):
        assert [one.service for one in await erasures.list_receipts(database, user_id)] == [
            "identity_service"
        ]
    events = [one for one in await account_feed.list_after(database, 0) if one.kind == "user_erased"]
    assert [one.body["user_id"] for one in events] == [person.user_id, stranger]


async def test_erasures_of_the_last_administrator_are_reapplied(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    assert await commands.reapply_erasures(identity.database_url, [admin.user_id]) == 1


async def test_an_invalid_id_erases_no_user(identity: Identity) -> None:
    person = await identity.sign_up()
    done = await run_command(identity.database_url, "erase", person.user_id, "everybody")
    assert (done.exit_code, "ids must be UUIDs" in done.stderr) == (2, True)
    assert (await identity.users.GetUser(GetUserRequest(user_id="me"), **person.auth)).user_id


@pytest.mark.parametrize(
    ("last", "exit_code", "output"),
    [("0", 1, "broken at entry 2"), ("6", 1, "broken at entry 2"), ("4", 0, "intact up to entry 6")],
)
async def test_only_the_newest_entries_are_verified(
    identity: Identity, last: str, exit_code: int, output: str
) -> None:
    await record(identity, *(entry() for _ in range(6)))
    tamper(identity, "UPDATE audit_entries SET user_id = uuidv7() WHERE sequence = 2")
    done = await run_command(identity.database_url, "verify-audit", "--last", last)
    assert (done.exit_code, output in done.stdout + done.stderr) == (exit_code, True)


async def test_a_chain_without_entries_is_intact(identity: Identity) -> None:
    assert (
        "up to entry 0" in (await run_command(identity.database_url, "verify-audit", "--last", "10")).stdout
    )
