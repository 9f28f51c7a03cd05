"""The chain of audit entries."""

import uuid
from typing import Any

import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.testing import refused
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.access_pb2 import ClassRole
from meno.access.v1.audit_service_pb2 import (
    AuditAction,
    AuditEntry,
    ListAuditEntriesRequest,
    RecordAuditEntriesRequest,
    VerifyAuditChainRequest,
    VerifyAuditChainResponse,
)
from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub
from meno.identity.v1.auth_service_pb2 import SignOutEverywhereRequest
from meno.identity.v1.class_service_pb2 import AddMembershipRequest, RemoveMembershipRequest
from meno.identity.v1.user_service_pb2 import EraseUserRequest

PUBLISHED = AuditAction.AUDIT_ACTION_CONTENT_PUBLISHED


def entry(**fields: Any) -> AuditEntry:
    return AuditEntry(
        entry_id=str(uuid.uuid4()), occur_time=Timestamp(seconds=1_800_000_000), action=PUBLISHED, **fields
    )


async def record(identity: Identity, *entries: AuditEntry, peer: str = "content_service") -> None:
    stub = AuditServiceStub(identity.served.channel(peer))
    await stub.RecordAuditEntries(RecordAuditEntriesRequest(entries=entries))


async def verify(identity: Identity, admin: Person, **known: object) -> VerifyAuditChainResponse.Verdict:
    steps = identity.audit.VerifyAuditChain(VerifyAuditChainRequest(**known), **admin.auth)  # type: ignore[arg-type]
    [*_, last] = [step async for step in steps]
    return last.done


async def test_what_a_service_records_is_listed_newest_first(identity: Identity) -> None:
    admin, user_id = await identity.sign_up_admin(), str(uuid.uuid4())
    first, second = entry(user_id=user_id), entry(user_id=user_id, class_id=str(uuid.uuid4()))
    await record(identity, first, second)
    listed = await identity.audited(admin, user_id=user_id)
    assert [one.entry_id for one in listed] == [second.entry_id, first.entry_id]
    assert {one.service for one in listed} == {"content_service"}
    assert (await identity.audited(admin, class_id=second.class_id)) == listed[:1]


async def test_an_id_in_capitals_breaks_nothing(identity: Identity) -> None:
    admin, teacher, person = (
        await identity.sign_up_admin(),
        await identity.sign_up_teacher(),
        await identity.sign_up(),
    )
    made = await identity.new_class(teacher)
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
    actions = {one.action for one in await identity.audited(admin, user_id=capitals)}
    assert {AuditAction.AUDIT_ACTION_USER_ERASED, PUBLISHED} < actions
    assert (await verify(identity, admin)).unbroken


async def test_an_entry_that_comes_twice_is_recorded_once(identity: Identity) -> None:
    admin, one = await identity.sign_up_admin(), entry()
    await record(identity, one)
    await record(identity, one, entry())
    found = [one.entry_id for one in await identity.audited(admin)]
    assert len({*found}) == len(found)
    assert (await verify(identity, admin)).unbroken


async def test_pages_hold_every_entry_once(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    made = [entry() for _ in range(7)]
    await record(identity, *made)
    token, found = "", []
    while True:
        request = ListAuditEntriesRequest(page_size=3, page_token=token)
        page = await identity.audit.ListAuditEntries(request, **admin.auth)
        found += [one.entry_id for one in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert found[:7] == [one.entry_id for one in reversed(made)]


async def test_an_untouched_chain_is_unbroken_and_tells_its_head(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await record(identity, *(entry() for _ in range(3)))
    newest = (await identity.audited(admin))[0]
    verdict = await verify(identity, admin)
    assert (verdict.unbroken, verdict.broken_sequence) == (True, 0)
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
async def test_whatever_is_changed_in_the_chain_is_found(
    identity: Identity, change: str, broken: int
) -> None:
    admin = await identity.sign_up_admin()
    await identity.audited(admin)
    await record(identity, *(entry() for _ in range(4)))
    tamper(identity, change)
    verdict = await verify(identity, admin)
    assert (verdict.unbroken, verdict.broken_sequence) == (False, broken)


async def test_a_shortened_chain_is_found_by_who_kept_its_head(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await identity.audited(admin)
    await record(identity, *(entry() for _ in range(4)))
    head = await verify(identity, admin)
    known = {"known_sequence": head.head_sequence, "known_digest": head.head_digest}
    assert (await verify(identity, admin, **known)).unbroken
    tamper(identity, f"DELETE FROM audit_entries WHERE sequence = {head.head_sequence}")
    assert (await verify(identity, admin)).unbroken
    verdict = await verify(identity, admin, **known)
    assert (verdict.unbroken, verdict.broken_sequence) == (False, head.head_sequence)


async def test_a_chain_written_anew_is_found_by_who_kept_its_head(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await record(identity, entry())
    await identity.audited(admin)
    head = await verify(identity, admin)
    verdict = await verify(identity, admin, known_sequence=head.head_sequence, known_digest="0" * 64)
    assert (verdict.unbroken, verdict.broken_sequence) == (False, head.head_sequence)


async def test_only_services_record_and_only_administrators_read(identity: Identity) -> None:
    student = await identity.sign_up()
    request = RecordAuditEntriesRequest(entries=[entry()])
    assert (
        await refused(identity.audit.RecordAuditEntries(request, **student.auth))
    ).reason == "ACCESS_DENIED"
    listing = identity.audit.ListAuditEntries(ListAuditEntriesRequest(), **student.auth)
    assert (await refused(listing)).reason == "ACCESS_DENIED"
    verification = identity.audit.VerifyAuditChain(VerifyAuditChainRequest(), **student.auth)
    assert (await refused(verification)).reason == "ACCESS_DENIED"


@pytest.mark.parametrize("details", [{"name": "Ada Lovelace"}, {"e-mail": "x"}, {"note": "two words"}])
async def test_text_is_no_detail(identity: Identity, details: dict[str, str]) -> None:
    one = entry()
    one.details.update(details)
    stub = AuditServiceStub(identity.served.channel("chat_service"))
    denied = await refused(stub.RecordAuditEntries(RecordAuditEntriesRequest(entries=[one])))
    assert denied.reason == "FIELD_INVALID"


def tamper(identity: Identity, change: str) -> None:
    """Changes the chain as a superuser might."""
    with psycopg.connect(identity.database_url) as connection:
        connection.execute("ALTER TABLE audit_entries DISABLE TRIGGER ALL")
        connection.execute(change.encode())
        connection.execute("ALTER TABLE audit_entries ENABLE TRIGGER ALL")
