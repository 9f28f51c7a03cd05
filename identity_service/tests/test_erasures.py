"""Erasure of users, with a receipt of every service."""

import asyncio
import uuid
from typing import Any

import psycopg
import pytest
from psycopg import sql

from chassis.testing import eventually_error, expect_error
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.access_pb2 import ClassRole
from meno.access.v1.account_feed_service_pb2 import ReportErasureRequest
from meno.access.v1.account_feed_service_pb2_grpc import AccountFeedServiceStub
from meno.access.v1.data_rights_pb2 import ExportUserDataRequest
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import SignInRequest, SignUpRequest
from meno.identity.v1.class_service_pb2 import ListClassesRequest, SetMembershipRoleRequest
from meno.identity.v1.resources_pb2 import Erasure, User
from meno.identity.v1.user_service_pb2 import EraseUserRequest, GetErasureRequest, UpdateUserRequest

OTHER_SERVICES = ("content_service", "session_service", "chat_service")


async def erase(identity: Identity, by: Person, user_id: str = "me", **values: str) -> Erasure:
    request = EraseUserRequest(user_id=user_id, confirmation="ERASE", **values)
    return await identity.users.EraseUser(request, **by.auth)


async def report(identity: Identity, user_id: str, service: str, rows: int = 3) -> None:
    feed = AccountFeedServiceStub(identity.service.channel(service))
    await feed.ReportErasure(ReportErasureRequest(user_id=user_id, rows=rows))


def dump(identity: Identity) -> str:
    """Returns every row of every table as text, in lower case."""
    with psycopg.connect(identity.database_url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        texts = [
            str(row)
            for (table,) in tables
            for row in connection.execute(
                sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier(table))
            )
        ]
    return "\n".join(texts).casefold()


async def test_only_the_id_of_an_erased_user_remains(identity: Identity) -> None:
    secret: dict[str, Any] = {
        "login_name": "Wilhelmina",
        "email": "w.quist@example.org",
        "phone": "+4915199887766",
    }
    created = await identity.auth.SignUp(
        SignUpRequest(
            display_name="Wilhelmina Quist", password=PASSWORD, request_id=str(uuid.uuid4()), **secret
        )
    )
    person = Person(created)
    teacher = await identity.sign_up_teacher()
    joined = await identity.create_class(teacher)
    await identity.join(person, joined)
    change = UpdateUserRequest(
        user_id="me", user=User(full_name="Wilhelmina Quist-Aalto"), request_id=str(uuid.uuid4())
    )
    await identity.users.UpdateUser(change, **person.auth)
    # The stored response of this call, kept for idempotency, contains the display name.
    role = SetMembershipRoleRequest(
        class_id=joined.class_id,
        user_id=person.user_id,
        role=ClassRole.CLASS_ROLE_STUDENT,
        request_id=str(uuid.uuid4()),
    )
    await identity.classes.SetMembershipRole(role, **teacher.auth)
    texts = ("wilhelmina", "quist", *map(str.casefold, secret.values()))
    assert all(text in dump(identity) for text in texts)
    await erase(identity, person)
    remaining = dump(identity)
    assert [text for text in texts if text in remaining] == []
    assert person.user_id in remaining


async def test_an_erased_user_cannot_sign_in_and_the_login_name_is_free(identity: Identity) -> None:
    person = await identity.sign_up("Vera")
    await erase(identity, person)
    request = ListClassesRequest(user_id="me")
    error = await eventually_error(
        lambda: identity.classes.ListClasses(request, **person.auth), "TOKEN_REVOKED"
    )
    assert error.code == "UNAUTHENTICATED"
    assert (await expect_error(identity.refresh(person))).reason == "REFRESH_TOKEN_INVALID"
    sign_in = SignInRequest(identifier="Vera", password=PASSWORD)
    assert (await expect_error(identity.auth.SignIn(sign_in))).reason == "CREDENTIALS_INVALID"
    await identity.sign_up("Vera")


async def test_an_erasure_is_complete_when_every_service_has_reported(identity: Identity) -> None:
    admin, person = await identity.sign_up_admin(), await identity.sign_up()
    erasure = await erase(identity, admin, person.user_id)
    assert [receipt.service for receipt in erasure.receipts] == ["identity_service"]
    assert not erasure.HasField("complete_time")
    for service in OTHER_SERVICES:
        for rows in (3, 0):
            await report(identity, person.user_id, service, rows)
    done = await identity.users.GetErasure(GetErasureRequest(user_id=person.user_id), **admin.auth)
    assert done.HasField("complete_time")
    assert {receipt.service: receipt.rows for receipt in done.receipts if receipt.rows == 3} == dict.fromkeys(
        OTHER_SERVICES, 3
    )


async def test_a_receipt_without_an_erasure_is_ignored(identity: Identity) -> None:
    admin, person = await identity.sign_up_admin(), await identity.sign_up()
    await report(identity, person.user_id, "chat_service")
    request = GetErasureRequest(user_id=person.user_id)
    assert (
        await expect_error(identity.users.GetErasure(request, **admin.auth))
    ).reason == "ERASURE_NOT_FOUND"


async def test_concurrent_erasures_erase_once(identity: Identity) -> None:
    admin, person = await identity.sign_up_admin(), await identity.sign_up()
    erasures = await asyncio.gather(*(erase(identity, admin, person.user_id) for _ in range(20)))
    assert len({str(erasure) for erasure in erasures}) == 1
    listed = await identity.list_audited(admin, user_id=person.user_id)
    assert [entry.action for entry in listed].count(AuditAction.AUDIT_ACTION_USER_ERASED) == 1
    assert len(identity.execute_sql("SELECT FROM account_events WHERE kind = 'user_erased'")) == 1


async def test_an_erasure_is_audited_with_its_actor_and_number_of_rows(identity: Identity) -> None:
    admin, person = await identity.sign_up_admin(), await identity.sign_up()
    await erase(identity, admin, person.user_id)
    erased_data, erased_user, *_ = await identity.list_audited(admin, user_id=person.user_id)
    assert (erased_user.action, erased_user.actor_user_id) == (
        AuditAction.AUDIT_ACTION_USER_ERASED,
        admin.user_id,
    )
    assert erased_data.action == AuditAction.AUDIT_ACTION_USER_DATA_ERASED
    assert int(erased_data.details["rows"]) > 0


async def test_erasing_a_missing_user_is_refused(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    assert (await expect_error(erase(identity, admin, str(uuid.uuid4())))).reason == "USER_NOT_FOUND"


@pytest.mark.parametrize("confirmation", ["", "erase", "YES"])
async def test_an_erasure_without_the_confirmation_is_refused(identity: Identity, confirmation: str) -> None:
    person = await identity.sign_up()
    request = EraseUserRequest(user_id="me", confirmation=confirmation)
    assert (await expect_error(identity.users.EraseUser(request, **person.auth))).reason == "FIELD_INVALID"


async def test_the_last_teacher_and_the_last_administrator_cannot_be_erased(identity: Identity) -> None:
    admin, teacher = await identity.sign_up_admin(), await identity.sign_up_teacher()
    taught = await identity.create_class(teacher)
    error = await expect_error(erase(identity, teacher))
    assert (error.reason, error.metadata) == (
        "LAST_TEACHER",
        {"class_id": taught.class_id, "class_ids": taught.class_id},
    )
    assert (await expect_error(erase(identity, admin))).reason == "LAST_ADMIN"


async def test_one_of_two_administrators_erasing_themselves_remains(identity: Identity) -> None:
    admins = [await identity.sign_up_admin() for _ in range(2)]

    async def attempt(admin: Person) -> Any:
        try:
            return await erase(identity, admin)
        except Exception as error:
            return error

    outcomes = await asyncio.gather(*map(attempt, admins))
    assert sum(isinstance(outcome, Erasure) for outcome in outcomes) == 1


async def test_an_export_contains_every_row_of_the_user_and_no_secret(identity: Identity) -> None:
    person = await identity.sign_up("Ottilie")
    teacher = await identity.sign_up_teacher()
    await identity.join(person, await identity.create_class(teacher))
    call = identity.data_rights.ExportUserData(ExportUserDataRequest(user_id="me"), **person.auth)
    *records, last = [step async for step in call]
    found = {step.record.collection: step.record.fields for step in records}
    assert {"users", "login_identifiers", "credentials", "sign_ins", "class_memberships"} <= found.keys()
    assert found["users"]["display_name"] == "Ottilie"
    assert {step.record.fields["user_id"] for step in records} <= {person.user_id}
    assert not [name for step in records for name in step.record.fields if "hash" in name]
    assert "credentials.password_hash" in last.done.excluded_columns
