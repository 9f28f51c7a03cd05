"""Unverified addresses that another account needs: administrators and rosters take them from claimants."""

import uuid

import pytest

from chassis.testing import expect_error
from identity_service.tests.conftest import PASSWORD, Identity, Person
from identity_service.tests.rosters import enrollment, import_roster, role, roster
from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import LinkCredentialsRequest, SignUpRequest
from meno.identity.v1.resources_pb2 import User
from meno.identity.v1.user_service_pb2 import CreateUserRequest, DeleteUserRequest, UndeleteUserRequest

CLAIM_LOST = AuditAction.AUDIT_ACTION_CLAIM_LOST


async def claim(identity: Identity, email: str, *, deleted: bool = False) -> Person:
    """Signs a user up with an address that they do not verify."""
    name = f"p{uuid.uuid4().hex[:12]}"
    request = SignUpRequest(login_name=name, email=email, display_name="Eve", password=PASSWORD)
    claimant = Person(await identity.auth.SignUp(request))
    if deleted:
        await identity.users.DeleteUser(DeleteUserRequest(user_id="me"), **claimant.auth)
    return claimant


async def create_user(identity: Identity, admin: Person, email: str) -> User:
    request = CreateUserRequest(email=email, display_name="Ada", role=GlobalRole.GLOBAL_ROLE_STUDENT)
    return await identity.users.CreateUser(request, **admin.auth)


def school(email: str) -> bytes:
    return roster(
        users=[{"sourcedId": "t", "email": email}],
        roles=[role("t", "teacher")],
        classes=[{"sourcedId": "c"}],
        enrollments=[enrollment("t", "c", "teacher")],
    )


def owner(identity: Identity, email: str) -> str:
    [user_id] = identity.read_column(
        "SELECT user_id::text FROM login_identifiers WHERE canonical = %s", email
    )
    return str(user_id)


@pytest.mark.parametrize("deleted", [False, True])
async def test_an_administrator_creates_an_account_with_a_claimed_address(
    identity: Identity, deleted: bool
) -> None:
    admin, claimant = await identity.sign_up_admin(), await claim(identity, "head@b.example", deleted=deleted)
    created = await create_user(identity, admin, "Head@b.example")
    assert (created.email, owner(identity, "head@b.example")) == ("Head@b.example", created.user_id)
    assert [kind for kind, *_ in identity.list_identifiers(claimant.user_id)] == [
        claimant.tokens.user.login_name
    ]
    audited = await identity.list_audited(admin, user_id=claimant.user_id)
    [entry] = [one for one in audited if one.action == CLAIM_LOST]
    assert (entry.actor_user_id, dict(entry.details)) == (admin.user_id, {"kind": "EMAIL"})


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_claimed_address_does_not_stop_a_roster(identity: Identity, deleted: bool) -> None:
    admin, claimant = await identity.sign_up_admin(), await claim(identity, "head@b.example", deleted=deleted)
    preview = await import_roster(identity, admin, school("head@b.example"), dry_run=True)
    [change] = [one for one in preview.row_changes if one.file == "users.csv"]
    assert change.problem == f"email is taken from user {claimant.user_id}, who has not verified it"
    assert owner(identity, "head@b.example") == claimant.user_id
    await import_roster(identity, admin, school("head@b.example"), etag=preview.etag)
    assert identity.read_column("SELECT user_id::text FROM roster_users") == [
        owner(identity, "head@b.example")
    ]
    audited = await identity.list_audited(admin, user_id=claimant.user_id)
    [entry] = [one for one in audited if one.action == CLAIM_LOST]
    assert (entry.actor_user_id, dict(entry.details)) == (admin.user_id, {"kind": "EMAIL"})
    again = await import_roster(identity, admin, school("head@b.example"), dry_run=True)
    assert [*again.row_changes] == []


async def test_an_unused_account_of_an_administrator_keeps_its_address(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    created = await create_user(identity, admin, "head@b.example")
    taken = await expect_error(create_user(identity, admin, "head@b.example"))
    assert (taken.reason, taken.metadata) == ("IDENTIFIER_TAKEN", {"field": "email"})
    invalid = await expect_error(import_roster(identity, admin, school("head@b.example")))
    assert (invalid.reason, owner(identity, "head@b.example")) == ("ROSTER_INVALID", created.user_id)


async def test_a_verified_address_is_never_taken(identity: Identity) -> None:
    admin, student = await identity.sign_up_admin(), await claim(identity, "ada@b.example")
    identity.execute_sql("UPDATE login_identifiers SET verified_at = now() WHERE kind = 'EMAIL'")
    for _ in range(2):
        taken = await expect_error(create_user(identity, admin, "ada@b.example"))
        assert (taken.reason, owner(identity, "ada@b.example")) == ("IDENTIFIER_TAKEN", student.user_id)
        await identity.users.DeleteUser(DeleteUserRequest(user_id=student.user_id), **admin.auth)


async def test_linking_takes_a_claimed_address_only_from_a_deleted_account(identity: Identity) -> None:
    admin, claimant, person = (
        await identity.sign_up_admin(),
        await claim(identity, "ada@b.example"),
        await identity.sign_up(),
    )
    request = LinkCredentialsRequest(user_id="me", email="Ada@b.example")
    taken = await expect_error(identity.auth.LinkCredentials(request, **person.auth))
    assert (taken.reason, owner(identity, "ada@b.example")) == ("IDENTIFIER_TAKEN", claimant.user_id)
    await identity.users.DeleteUser(DeleteUserRequest(user_id="me"), **claimant.auth)
    linked = await identity.auth.LinkCredentials(request, **person.auth)
    assert (linked.email, linked.email_verified) == ("Ada@b.example", False)
    assert owner(identity, "ada@b.example") == person.user_id
    audited = await identity.list_audited(admin, user_id=claimant.user_id)
    [entry] = [one for one in audited if one.action == CLAIM_LOST]
    assert (entry.actor_user_id, dict(entry.details)) == (person.user_id, {"kind": "EMAIL"})


async def test_a_deleted_account_keeps_its_login_name_and_its_verified_address(identity: Identity) -> None:
    claimant, person = await claim(identity, "ada@b.example"), await identity.sign_up()
    identity.execute_sql("UPDATE login_identifiers SET verified_at = now() WHERE kind = 'EMAIL'")
    await identity.users.DeleteUser(DeleteUserRequest(user_id="me"), **claimant.auth)
    name = claimant.tokens.user.login_name
    for fields in ({"email": "ada@b.example"}, {"login_name": name}):
        request = LinkCredentialsRequest(user_id="me", **fields)
        taken = await expect_error(identity.auth.LinkCredentials(request, **person.auth))
        assert taken.reason == "IDENTIFIER_TAKEN"
    assert owner(identity, "ada@b.example") == owner(identity, name) == claimant.user_id


async def test_sign_up_takes_a_claimed_address_only_from_a_deleted_account(identity: Identity) -> None:
    admin, first = await identity.sign_up_admin(), await claim(identity, "ada@b.example")
    taken = await expect_error(claim(identity, "ada@b.example"))
    assert (taken.reason, taken.metadata) == ("IDENTIFIER_TAKEN", {"field": "login_name,email"})
    await identity.users.DeleteUser(DeleteUserRequest(user_id="me"), **first.auth)
    second = await claim(identity, "ada@b.example")
    assert owner(identity, "ada@b.example") == second.user_id
    restored = await identity.users.UndeleteUser(UndeleteUserRequest(user_id=first.user_id), **admin.auth)
    assert (restored.login_name, restored.email) == (first.tokens.user.login_name, "")
