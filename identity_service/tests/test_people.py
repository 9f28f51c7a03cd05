"""Users and their profiles, over gRPC. The tests share one service, and each creates its own users."""

import asyncio
import uuid
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import expect_error, read_pages
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import SignInRequest, SignUpRequest
from meno.identity.v1.resources_pb2 import USER_STATE_ACTIVE, USER_STATE_DELETED, User
from meno.identity.v1.user_service_pb2 import (
    BatchGetUsersRequest,
    CompleteOnboardingRequest,
    CreateUserRequest,
    DeleteUserRequest,
    GetSettingsRequest,
    GetUserRequest,
    ListUsersRequest,
    UpdateUserRequest,
)
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

STUDENT, TEACHER = GlobalRole.GLOBAL_ROLE_STUDENT, GlobalRole.GLOBAL_ROLE_TEACHER
ME = GetUserRequest(user_id="me")


@pytest_asyncio.fixture(scope="module")
async def bystander(shared: Identity) -> Person:
    """A student whom no test changes."""
    return await shared.sign_up()


async def test_a_user_reads_their_whole_profile(shared: Identity) -> None:
    name, phone = new_name(), f"+91{uuid.uuid4().int % 10**10:010}"
    request = SignUpRequest(
        login_name=name, email=f"{name}@Example.org", phone=phone, display_name="Ana Lee", password=PASSWORD
    )
    ana = Person(await shared.auth.SignUp(request))
    with psycopg.connect(shared.database_url) as connection:
        mine = {"user_id": ana.user_id, "name": name}
        connection.execute(
            "UPDATE login_identifiers SET verified_at = now() WHERE kind = 'EMAIL' AND user_id = %(user_id)s",
            mine,
        )
        connection.execute(
            "INSERT INTO user_identities (user_id, issuer, subject) VALUES (%(user_id)s, 'https://b', %(name)s), "
            "(%(user_id)s, 'https://a', %(name)s), (%(user_id)s, 'https://b', %(user_id)s)",
            mine,
        )
        connection.execute(
            "UPDATE users SET xp = 2999, streak = 4, streak_time_zone = 'UTC', last_active_at = now(), "
            "streak_day = (now() AT TIME ZONE 'UTC')::date WHERE user_id = %(user_id)s",
            mine,
        )
    user = await shared.users.GetUser(ME, **ana.auth)
    assert (user.login_name, user.email, user.phone) == (name, f"{name}@Example.org", phone)
    assert (user.email_verified, user.phone_verified) == (True, False)
    assert user.identity_issuers == ["https://a", "https://b"]
    assert (user.display_name, user.nickname, user.role) == ("Ana Lee", "Ana", STUDENT)
    assert (user.xp, user.level, user.streak_days) == (2999, 2, 4)
    assert user.last_active_time.ToDatetime() > user.create_time.ToDatetime()
    assert (user.state, user.guest, user.onboarding_complete) == (USER_STATE_ACTIVE, False, False)
    assert not user.HasField("delete_time")
    assert not user.HasField("purge_time")


async def test_a_new_user_has_empty_fields(shared: Identity) -> None:
    user = (await shared.sign_up()).tokens.user
    assert (user.email, user.phone, [*user.identity_issuers]) == ("", "", [])
    assert (user.age, user.grade, user.xp, user.level, user.streak_days) == (0, 0, 0, 0, 0)
    assert user.last_active_time == user.create_time


async def test_an_update_sets_and_clears_the_fields_of_its_mask(shared: Identity) -> None:
    bo = await shared.sign_up()
    filled = User(age=12, grade=6, board="CBSE", school_name="A school", about_me="Maps.", full_name="Bo Li")
    user = await shared.users.UpdateUser(UpdateUserRequest(user_id="me", user=filled), **bo.auth)
    assert (user.age, user.grade, user.board, user.onboarding_complete) == (12, 6, "CBSE", True)
    assert (user.school_name, user.about_me, user.full_name) == ("A school", "Maps.", "Bo Li")
    cleared = UpdateUserRequest(user_id="me", user=User(), update_mask=FieldMask(paths=["age", "about_me"]))
    user = await shared.users.UpdateUser(cleared, **bo.auth)
    assert (user.age, user.grade, user.about_me, user.onboarding_complete) == (0, 6, "", False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("age", 2),
        ("age", 121),
        ("grade", 13),
        ("grade", -1),
        ("nickname", "B"),
        ("nickname", "b" * 51),
        ("about_me", "m" * 1001),
        ("board", "\u00a0"),
    ],
)
async def test_an_invalid_value_is_refused_with_its_field(
    shared: Identity, bystander: Person, field: str, value: Any
) -> None:
    user = User()
    setattr(user, field, value)
    denied = await expect_error(
        shared.users.UpdateUser(UpdateUserRequest(user_id="me", user=user), **bystander.auth)
    )
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert [item.field for item in denied.detail(BadRequest).field_violations] == [f"user.{field}"]


OUTPUT_ONLY = User(
    role=TEACHER, xp=9000, level=9, streak_days=300, guest=True, email="x@example.org", email_verified=True
)


async def test_users_cannot_change_output_only_fields(shared: Identity) -> None:
    eve = await shared.sign_up()
    request = UpdateUserRequest(user_id="me", user=OUTPUT_ONLY)
    request.user.about_me = "I like rivers."
    after = await shared.users.UpdateUser(request, **eve.auth)
    for field, _ in OUTPUT_ONLY.ListFields():
        assert getattr(after, field.name) == getattr(eve.tokens.user, field.name)
        request.update_mask.paths[:] = [field.name]
        assert (await expect_error(shared.users.UpdateUser(request, **eve.auth))).reason == "FIELD_INVALID"


async def test_of_concurrent_updates_with_one_etag_one_succeeds(shared: Identity) -> None:
    bo = await shared.sign_up()
    etag = bo.tokens.user.etag
    changes = [UpdateUserRequest(user_id="me", user=User(about_me=f"{n}"), etag=etag) for n in range(5)]
    outcomes = await asyncio.gather(
        *(shared.users.UpdateUser(change, **bo.auth) for change in changes), return_exceptions=True
    )
    [created] = [outcome for outcome in outcomes if isinstance(outcome, User)]
    denied = await expect_error(shared.users.UpdateUser(changes[0], **bo.auth))
    assert (denied.code, denied.reason, denied.metadata) == (
        "ABORTED",
        "ETAG_MISMATCH",
        {"current": created.etag},
    )


async def test_onboarding_stores_the_profile_and_publishes_the_time_zone(shared: Identity) -> None:
    new = await shared.sign_up()
    request = CompleteOnboardingRequest(
        user_id="me", display_name="Mei Wu", age=9, grade=4, board="ICSE", time_zone="Asia/Singapore"
    )
    user = await shared.users.CompleteOnboarding(request, **new.auth)
    assert (user.display_name, user.age, user.grade, user.board) == ("Mei Wu", 9, 4, "ICSE")
    assert user.onboarding_complete
    settings = await shared.users.GetSettings(GetSettingsRequest(user_id="me"), **new.auth)
    assert settings.time_zone == "Asia/Singapore"
    assert published_settings(shared, new) == [
        {"time_zone": "Asia/Singapore", "keep_practice_history": False}
    ]


async def test_onboarding_with_an_unknown_time_zone_changes_nothing(shared: Identity) -> None:
    new = await shared.sign_up()
    request = CompleteOnboardingRequest(
        user_id="me", age=9, grade=4, board="ICSE", time_zone="Singapore City"
    )
    denied = await expect_error(shared.users.CompleteOnboarding(request, **new.auth))
    [violation] = denied.detail(BadRequest).field_violations
    assert (violation.field, violation.reason) == ("time_zone", "time_zone.known")
    assert await shared.users.GetUser(ME, **new.auth) == new.tokens.user


async def test_an_administrator_creates_an_account_without_a_password(shared: Identity) -> None:
    admin, name = await shared.sign_up_admin(), new_name()
    request = CreateUserRequest(email=f"{name}@example.org", display_name=" Dr Who ", role=TEACHER)
    user = await shared.users.CreateUser(request, **admin.auth)
    assert (user.email, user.email_verified, user.role) == (f"{name}@example.org", False, TEACHER)
    assert (user.display_name, user.nickname) == ("Dr Who", "Dr")
    attempt = SignInRequest(identifier=user.email, password="")
    for attempt.password in ("x" * 15, PASSWORD):
        assert (await expect_error(shared.auth.SignIn(attempt))).reason == "CREDENTIALS_INVALID"
    [entry] = await shared.list_audited(admin, user_id=user.user_id)
    assert (entry.action, entry.actor_user_id) == (AuditAction.AUDIT_ACTION_USER_CREATED, admin.user_id)
    assert dict(entry.details) == {"role": "TEACHER"}
    [entry] = [
        entry for entry in await shared.list_audited(admin, user_id=admin.user_id) if entry.details["role"]
    ]
    assert entry.details["role"] == "STUDENT"


async def test_of_twenty_concurrent_accounts_with_one_address_one_is_created(shared: Identity) -> None:
    admin, address = await shared.sign_up_admin(), f"{new_name()}@example.org"
    calls = [
        shared.users.CreateUser(
            CreateUserRequest(email=spelling, login_name=new_name(), display_name="Twin", role=STUDENT),
            **admin.auth,
        )
        for spelling in [address, address.upper()] * 10
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, User) for outcome in outcomes) == 1
    again = CreateUserRequest(email=address, display_name="Twin", role=STUDENT)
    denied = await expect_error(shared.users.CreateUser(again, **admin.auth))
    assert (denied.code, denied.reason, denied.metadata) == (
        "ALREADY_EXISTS",
        "IDENTIFIER_TAKEN",
        {"field": "email"},
    )


async def test_an_account_needs_an_address_a_display_name_and_a_role(shared: Identity) -> None:
    admin = await shared.sign_up_admin()
    for request in (
        CreateUserRequest(login_name=new_name(), display_name="Ana", role=STUDENT),
        CreateUserRequest(email=f"{new_name()}@example.org", display_name="\u3000", role=STUDENT),
        CreateUserRequest(email=f"{new_name()}@example.org", display_name="Ana"),
    ):
        assert (await expect_error(shared.users.CreateUser(request, **admin.auth))).reason == "FIELD_INVALID"


async def test_pages_contain_each_user_of_a_role_once_in_order_of_creation(shared: Identity) -> None:
    admin = await shared.sign_up_admin()
    created = [
        (await create_user(shared, admin, GlobalRole.GLOBAL_ROLE_UNASSIGNED)).user_id for _ in range(5)
    ]
    gone = DeleteUserRequest(user_id=created[2])
    await shared.users.DeleteUser(gone, **admin.auth)
    assert await list_ids(shared, admin, role=GlobalRole.GLOBAL_ROLE_UNASSIGNED) == created[:2] + created[3:]
    assert await list_ids(shared, admin, role=GlobalRole.GLOBAL_ROLE_UNASSIGNED, show_deleted=True) == created
    all_users = await list_ids(shared, admin)
    assert [user_id for user_id in all_users if user_id in created] == created[:2] + created[3:]
    assert all_users == sorted(all_users)


async def test_a_user_is_found_by_login_identifier(shared: Identity) -> None:
    admin = await shared.sign_up_admin()
    created = await create_user(shared, admin, TEACHER)
    found = await shared.users.ListUsers(ListUsersRequest(identifier=created.email.upper()), **admin.auth)
    assert [*found.users] == [created]
    for unknown in (created.email[1:], "unknown@example.org"):
        assert await list_ids(shared, admin, identifier=unknown) == []
    assert await list_ids(shared, admin, identifier=created.email, role=STUDENT) == []
    await shared.users.DeleteUser(DeleteUserRequest(user_id=created.user_id), **admin.auth)
    assert await list_ids(shared, admin, identifier=created.email) == []
    [gone] = (
        await shared.users.ListUsers(
            ListUsersRequest(identifier=created.email, show_deleted=True), **admin.auth
        )
    ).users
    assert gone.state == USER_STATE_DELETED
    assert (gone.purge_time.ToDatetime() - gone.delete_time.ToDatetime()).days == 30


async def test_services_can_read_the_names_of_users(shared: Identity) -> None:
    admin = await shared.sign_up_admin()
    first, second, gone = [await create_user(shared, admin, STUDENT) for _ in range(3)]
    await shared.users.DeleteUser(DeleteUserRequest(user_id=gone.user_id), **admin.auth)
    user_ids = [second.user_id, str(uuid.uuid4()), first.user_id, gone.user_id, first.user_id]
    for peer in ("content_service", "session_service", "chat_service"):
        stub = UserServiceStub(shared.service.channel(peer))
        found = await stub.BatchGetUsers(BatchGetUsersRequest(user_ids=user_ids))
        assert {item.user_id: (item.display_name, item.nickname) for item in found.users} == {
            item.user_id: (item.display_name, item.nickname) for item in (first, second)
        }
        assert len(found.users) == 2


async def test_only_administrators_can_list_and_create_users(shared: Identity, bystander: Person) -> None:
    student, teacher = bystander, await shared.sign_up_teacher()
    requests: list[tuple[Any, Any]] = [
        (shared.users.ListUsers, ListUsersRequest()),
        (shared.users.CreateUser, CreateUserRequest(email="a@example.org", display_name="A", role=STUDENT)),
        (shared.users.BatchGetUsers, BatchGetUsersRequest(user_ids=[student.user_id])),
    ]
    for person in (student, teacher):
        for call, request in requests:
            denied = await expect_error(call(request, **person.auth))
            assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_other_users_cannot_find_out_whether_a_user_exists(shared: Identity, bystander: Person) -> None:
    student = await shared.sign_up()
    for user_id in (bystander.user_id, str(uuid.uuid4())):
        denied = await expect_error(shared.users.GetUser(GetUserRequest(user_id=user_id), **student.auth))
        assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    admin = await shared.sign_up_admin()
    missing = await expect_error(
        shared.users.GetUser(GetUserRequest(user_id=str(uuid.uuid4())), **admin.auth)
    )
    assert (missing.code, missing.reason) == ("NOT_FOUND", "USER_NOT_FOUND")


async def create_user(shared: Identity, admin: Person, role: GlobalRole.ValueType) -> User:
    request = CreateUserRequest(email=f"{new_name()}@example.org", display_name=new_name(), role=role)
    return await shared.users.CreateUser(request, **admin.auth)


async def list_ids(shared: Identity, admin: Person, **of: Any) -> list[str]:
    """Returns the user ids of all pages."""
    request = ListUsersRequest(page_size=2, **of)
    pages = read_pages(shared.users.ListUsers, request, **admin.auth)
    return [user.user_id async for page in pages for user in page.users]


def published_settings(shared: Identity, person: Person) -> list[dict[str, Any]]:
    """Returns the settings of a user in the account feed."""
    query = "SELECT body - 'user_id' FROM account_events WHERE kind = 'settings_changed' AND body ->> 'user_id' = %s"
    return shared.read_column(query, person.user_id)


def new_name() -> str:
    return f"p{uuid.uuid4().hex[:12]}"
