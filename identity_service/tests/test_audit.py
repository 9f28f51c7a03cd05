"""The audit log and its hash chain, over gRPC."""

import uuid
from typing import Any

import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.testing import expect_error, read_pages
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.access_pb2 import ClassRole
from meno.access.v1.audit_service_pb2 import (
    ListAuditEntriesRequest,
    RecordAuditEntriesRequest,
    VerifyAuditChainRequest,
    VerifyAuditChainResponse,
)
from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub
from meno.access.v1.resources_pb2 import AuditAction, AuditEntry
from meno.identity.v1.auth_service_pb2 import SignOutEverywhereRequest
from meno.identity.v1.class_service_pb2 import AddMembershipRequest, RemoveMembershipRequest
from meno.identity.v1.user_service_pb2 import EraseUserRequest

PUBLISHED = AuditAction.AUDIT_ACTION_CONTENT_PUBLISHED


def entry(**fields: Any) -> AuditEntry:
    return AuditEntry(
        entry_id=str(uuid.uuid4()), occur_time=Timestamp(seconds=1_800_000_000), action=PUBLISHED, **fields
    )


async def record(identity: Identity, *entries: AuditEntry, peer: str = "content_service") -> None:
    stub = AuditServiceStub(identity.service.channel(peer))
    await stub.RecordAuditEntries(RecordAuditEntriesRequest(entries=entries))


async def verify(identity: Identity, admin: Person, **known: object) -> VerifyAuditChainResponse.Verdict:
    steps = identity.audit.VerifyAuditChain(VerifyAuditChainRequest(**known), **admin.auth)  # type: ignore[arg-type]
    [*_, last] = [step async for step in steps]
    return last.done


async def test_recorded_entries_are_listed_newest_first(identity: Identity) -> None:
    admin, user_id = await identity.sign_up_admin(), str(uuid.uuid4())
    first, second = entry(user_id=user_id), entry(user_id=user_id, class_id=str(uuid.uuid4()))
    await record(identity, first, second)
    listed = await identity.list_audited(admin, user_id=user_id)
    assert [item.entry_id for item in listed] == [second.entry_id, first.entry_id]
    assert {item.service for item in listed} == {"content_service"}
    assert (await identity.list_audited(admin, class_id=second.class_id)) == listed[:1]


async def test_ids_in_upper_case_are_normalized(identity: Identity) -> None:
    admin, teacher, person = (
        await identity.sign_up_admin(),
        await identity.sign_up_teacher(),
        await identity.sign_up(),
    )
    made = await identity.create_class(teacher)
    await identity.join(person, made)
    remove = RemoveMembershipRequest(class_id=made.class_id, user_id=person.user_id)
    await identity.classes.RemoveMembership(remove, **teacher.auth)
    capitals = person.user_id.upper()
    add = AddMembershipRequest(class_id=made.class_id, user_id=capitals, role=ClassRole.CLASS_ROLE_STUDENT)
    await identity.classes.AddMembership(add, **teacher.auth)
    await identity.auth.SignOutEverywhere(SignOutEverywhereRequest(user_id=capitals), **admin.auth)
    erase = EraseUserRequest(user_id=capitals, confirmation="ERASE")
    await identity.users.EraseUser(erase, **admin.auth)
    await record(identity, entry(user_id=capitals, class_id=made.class_id.upper()))
    actions = {item.action for item in await identity.list_audited(admin, user_id=capitals)}
    assert {AuditAction.AUDIT_ACTION_USER_ERASED, PUBLISHED} < actions
    assert (await verify(identity, admin)).intact


async def test_a_repeated_entry_is_recorded_once(identity: Identity) -> None:
    admin, repeated = await identity.sign_up_admin(), entry()
    await record(identity, repeated)
    await record(identity, repeated, entry())
    found = [item.entry_id for item in await identity.list_audited(admin)]
    assert len({*found}) == len(found)
    assert (await verify(identity, admin)).intact


async def test_pages_contain_each_entry_once(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    created = [entry() for _ in range(7)]
    await record(identity, *created)
    pages = read_pages(identity.audit.ListAuditEntries, ListAuditEntriesRequest(page_size=3), **admin.auth)
    found = [item.entry_id async for page in pages for item in page.entries]
    assert found[:7] == [item.entry_id for item in reversed(created)]


async def test_an_unchanged_chain_is_intact_and_its_head_is_returned(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await record(identity, *(entry() for _ in range(3)))
    newest = (await identity.list_audited(admin))[0]
    verdict = await verify(identity, admin)
    assert (verdict.intact, verdict.broken_sequence) == (True, 0)
    assert (verdict.head_sequence, verdict.head_digest) == (newest.sequence, newest.digest)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE audit_entries SET user_id = uuidv7() WHERE sequence = 2", 2),
        ('UPDATE audit_entries SET details = \'{"role": "ADMIN"}\' WHERE sequence = 2', 2),
        ("UPDATE audit_entries SET occurred_at = occurred_at + interval '1 us' WHERE sequence = 2", 2),
        ("DELETE FROM audit_entries WHERE sequence = 2", 2),
        ("UPDATE audit_entries SET digest = sha256('') WHERE sequence = 3", 3),
    ],
)
async def test_changed_and_deleted_entries_are_detected(identity: Identity, change: str, broken: int) -> None:
    admin = await identity.sign_up_admin()
    await identity.list_audited(admin)
    await record(identity, *(entry() for _ in range(4)))
    tamper(identity, change)
    verdict = await verify(identity, admin)
    assert (verdict.intact, verdict.broken_sequence) == (False, broken)


async def test_a_truncated_chain_is_detected_with_a_known_head(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await identity.list_audited(admin)
    await record(identity, *(entry() for _ in range(4)))
    head = await verify(identity, admin)
    known = {"known_sequence": head.head_sequence, "known_digest": head.head_digest}
    assert (await verify(identity, admin, **known)).intact
    tamper(identity, f"DELETE FROM audit_entries WHERE sequence = {head.head_sequence}")
    assert (await verify(identity, admin)).intact
    verdict = await verify(identity, admin, **known)
    assert (verdict.intact, verdict.broken_sequence) == (False, head.head_sequence)


async def test_a_rewritten_chain_is_detected_with_a_known_head(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await record(identity, entry())
    await identity.list_audited(admin)
    head = await verify(identity, admin)
    verdict = await verify(identity, admin, known_sequence=head.head_sequence, known_digest="0" * 64)
    assert (verdict.intact, verdict.broken_sequence) == (False, head.head_sequence)


async def test_only_services_can_record_and_only_administrators_can_read(identity: Identity) -> None:
    student = await identity.sign_up()
    request = RecordAuditEntriesRequest(entries=[entry()])
    assert (
        await expect_error(identity.audit.RecordAuditEntries(request, **student.auth))
    ).reason == "ACCESS_DENIED"
    listing = identity.audit.ListAuditEntries(ListAuditEntriesRequest(), **student.auth)
    assert (await expect_error(listing)).reason == "ACCESS_DENIED"
    verification = identity.audit.VerifyAuditChain(VerifyAuditChainRequest(), **student.auth)
    assert (await expect_error(verification)).reason == "ACCESS_DENIED"


@pytest.mark.parametrize("details", [{"name": "Ada Lovelace"}, {"e-mail": "x"}, {"note": "two words"}])
async def test_free_text_is_refused_as_a_detail(identity: Identity, details: dict[str, str]) -> None:
    invalid = entry()
    invalid.details.update(details)
    stub = AuditServiceStub(identity.service.channel("chat_service"))
    denied = await expect_error(stub.RecordAuditEntries(RecordAuditEntriesRequest(entries=[invalid])))
    assert denied.reason == "FIELD_INVALID"


def tamper(identity: Identity, change: str) -> None:
    """Changes the chain as a superuser can."""
    with psycopg.connect(identity.database_url) as connection:
        connection.execute("ALTER TABLE audit_entries DISABLE TRIGGER ALL")
        connection.execute(change.encode())
        connection.execute("ALTER TABLE audit_entries ENABLE TRIGGER ALL")
