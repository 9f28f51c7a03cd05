"""Changes that outlive a stolen access token require a recent sign-in."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Value

from chassis.testing import expect_error
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.admin_service_pb2 import (
    CreateModelBackendRequest,
    SetConfigEntryRequest,
    UndeleteModelBackendRequest,
    UpdateModelBackendRequest,
)
from meno.identity.v1.auth_service_pb2 import SignInAsGuestRequest, SignInRequest
from meno.identity.v1.resources_pb2 import ModelBackend, ModelProvider
from meno.identity.v1.user_service_pb2 import (
    CreateUserRequest,
    DeleteUserRequest,
    EraseUserRequest,
    SetGlobalRoleRequest,
)

ADMIN = GlobalRole.GLOBAL_ROLE_ADMIN


async def create_backend(identity: Identity, admin: Person, request_id: str = "") -> ModelBackend:
    request = CreateModelBackendRequest(
        request_id=request_id, name="Built in", provider=ModelProvider.MODEL_PROVIDER_BUILTIN
    )
    return await identity.admin.CreateModelBackend(request, **admin.auth)


def age_sign_ins(identity: Identity) -> None:
    """Makes every sign-in older than the window."""
    identity.execute_sql("UPDATE sign_ins SET created_at = created_at - interval '16 minutes'")


def lasting_changes(
    identity: Identity, admin: Person, other: Person, backend: ModelBackend
) -> Mapping[str, Callable[[], Awaitable[Any]]]:
    """Returns calls of an administrator by a name. Each succeeds once, in this order."""
    users, auth = identity.users, admin.auth
    role = SetGlobalRoleRequest(user_id=other.user_id, role=ADMIN)
    created = CreateUserRequest(email="thief@example.org", display_name="Thief", role=ADMIN)
    config = SetConfigEntryRequest(key="sign_up_enabled", value=Value(bool_value=True))
    renamed = UpdateModelBackendRequest(
        backend_id=backend.backend_id,
        backend=ModelBackend(name="Renamed"),
        update_mask=FieldMask(paths=["name"]),
    )
    new = CreateModelBackendRequest(name="Thief", provider=ModelProvider.MODEL_PROVIDER_BUILTIN)
    return {
        "SetGlobalRole": lambda: users.SetGlobalRole(role, **auth),
        "CreateUser": lambda: users.CreateUser(created, **auth),
        "SetConfigEntry": lambda: identity.admin.SetConfigEntry(config, **auth),
        "UpdateModelBackend": lambda: identity.admin.UpdateModelBackend(renamed, **auth),
        "CreateModelBackend": lambda: identity.admin.CreateModelBackend(new, **auth),
        "UndeleteModelBackend": lambda: identity.admin.UndeleteModelBackend(
            UndeleteModelBackendRequest(backend_id=backend.backend_id), **auth
        ),
        "EraseUser": lambda: users.EraseUser(
            EraseUserRequest(user_id=other.user_id, confirmation="ERASE"), **auth
        ),
        "DeleteUser": lambda: users.DeleteUser(DeleteUserRequest(user_id="me"), **auth),
    }


async def test_an_old_sign_in_makes_no_lasting_change_and_a_new_one_does(identity: Identity) -> None:
    admin, other = await identity.sign_up_admin(), await identity.sign_up()
    backend = await create_backend(identity, admin)
    age_sign_ins(identity)
    before = [identity.count_rows(table) for table in ("users", "app_config", "model_backends", "erasures")]
    for name, change in lasting_changes(identity, admin, other, backend).items():
        error = await expect_error(change())
        assert (name, error.code, error.reason) == (name, "FAILED_PRECONDITION", "REAUTHENTICATION_REQUIRED")
    # Refreshing does not renew the sign-in.
    await identity.refresh(admin)
    for change in lasting_changes(identity, admin, other, backend).values():
        assert (await expect_error(change())).reason == "REAUTHENTICATION_REQUIRED"
    after = [identity.count_rows(table) for table in ("users", "app_config", "model_backends", "erasures")]
    assert before == after
    again = SignInRequest(identifier=admin.tokens.user.login_name, password=PASSWORD)
    admin.tokens = await identity.auth.SignIn(again)
    for change in lasting_changes(identity, admin, other, backend).values():
        await change()


async def test_changes_that_can_be_undone_need_no_recent_sign_in(identity: Identity) -> None:
    admin, other = await identity.sign_up_admin(), await identity.sign_up()
    age_sign_ins(identity)
    student = CreateUserRequest(
        email="new@example.org", display_name="New", role=GlobalRole.GLOBAL_ROLE_STUDENT
    )
    await identity.users.CreateUser(student, **admin.auth)
    await identity.users.DeleteUser(DeleteUserRequest(user_id=other.user_id), **admin.auth)


async def test_a_guest_may_leave_at_any_time(identity: Identity) -> None:
    guests = [Person(await identity.auth.SignInAsGuest(SignInAsGuestRequest())) for _ in range(2)]
    age_sign_ins(identity)
    await identity.users.DeleteUser(DeleteUserRequest(user_id="me"), **guests[0].auth)
    await identity.users.EraseUser(EraseUserRequest(user_id="me", confirmation="ERASE"), **guests[1].auth)


async def test_a_repetition_returns_its_response_after_the_window(identity: Identity) -> None:
    admin, request_id = await identity.sign_up_admin(), str(uuid.uuid4())
    created = await create_backend(identity, admin, request_id)
    age_sign_ins(identity)
    assert await create_backend(identity, admin, request_id) == created
