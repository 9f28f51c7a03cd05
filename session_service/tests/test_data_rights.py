"""Exports, erasures and guest merges of the data of session_service."""

from chassis.testing import execute_sql, expect_error
from meno.access.v1.data_rights_pb2 import ExportUserDataRequest, ExportUserDataResponse
from meno.access.v1.resources_pb2 import AccountEvent
from session_service.tests.conftest import Learner, Service, event

EVENTS = 250
"""More events than one batch of an export contains."""


async def learner_with_events(service: Service, events: int = 1) -> Learner:
    """Returns a learner with one session that has this number of events."""
    learner = service.learner()
    session = await service.create(learner)
    while events > 0:
        await service.append(learner, session, [event() for _ in range(min(events, 100))])
        events -= 100
    return learner


async def export(service: Service, learner: Learner, of: str = "me") -> list[ExportUserDataResponse]:
    call = service.data_rights.ExportUserData(ExportUserDataRequest(user_id=of), **learner.auth)
    return [step async for step in call]


def rows(service: Service, learner: Learner) -> dict[str, int]:
    """Returns the number of rows in each table that belong to a learner."""
    counts = {}
    owners = {"sessions": "user_id", "session_events": "user_id", "idempotency_keys": "principal"}
    for table, column in owners.items():
        query = f"SELECT count(*) FROM {table} WHERE {column}::text = %s"
        [[counts[table]]] = execute_sql(service.database_url, query, learner.user_id)
    return counts


async def test_an_export_contains_all_rows_of_the_user_and_no_others(service: Service) -> None:
    await learner_with_events(service)
    learner = await learner_with_events(service, EVENTS)
    *records, last = await export(service, learner)
    exported = [step.record for step in records]
    assert {record.fields["user_id"] for record in exported} == {learner.user_id}
    collections = [record.collection for record in exported]
    assert (collections.count("sessions"), collections.count("session_events")) == (1, EVENTS)
    sequences = [record.fields["sequence"] for record in exported if record.collection == "session_events"]
    assert sequences == [*range(1, EVENTS + 1)]
    assert last.done.records == len(exported)
    assert set(last.done.excluded_columns) == {"idempotency_keys", "sessions.deleted_by_user_id"}
    entry = await service.env.wait_for_outbox("audit_entry")
    assert entry.body["action"] == "AUDIT_ACTION_USER_DATA_EXPORTED"
    assert entry.body["user_id"] == entry.body["actor_user_id"] == learner.user_id


async def test_an_administrator_exports_the_data_of_another_user_and_a_student_does_not(
    service: Service,
) -> None:
    learner, admin = await learner_with_events(service), service.learner(role="ADMIN")
    assert len(await export(service, admin, learner.user_id)) == len(await export(service, learner))
    call = service.data_rights.ExportUserData(
        ExportUserDataRequest(user_id=learner.user_id), **service.learner().auth
    )
    assert (await expect_error(call)).reason == "ACCESS_DENIED"


async def test_an_erasure_deletes_all_rows_of_the_user_and_sends_a_receipt(service: Service) -> None:
    learner, bystander = await learner_with_events(service), await learner_with_events(service)
    before, others = rows(service, learner), rows(service, bystander)
    service.env.feed.append(user_erased=AccountEvent.UserErased(user_id=learner.user_id))
    receipt = await service.env.wait_for_outbox("erasure")
    assert rows(service, learner) == dict.fromkeys(before, 0)
    assert rows(service, bystander) == others
    assert receipt.body == {"user_id": learner.user_id, "rows": sum(before.values())}


async def test_a_repeated_event_erases_rows_of_calls_in_progress(service: Service) -> None:
    learner, late = await learner_with_events(service), await learner_with_events(service, 0)
    erased = AccountEvent.UserErased(user_id=learner.user_id)
    service.env.feed.append(user_erased=erased)
    await service.env.wait_for_outbox("erasure")
    execute_sql(
        service.database_url,
        "UPDATE sessions SET user_id = %s WHERE user_id = %s",
        *(learner.user_id, late.user_id),
    )
    erased.repetition = True
    for _ in range(2):
        service.env.feed.append(user_erased=erased)
    # Events are applied in order, so the receipt of another erasure proves that the repetitions are done.
    other = service.learner().user_id
    service.env.feed.append(user_erased=AccountEvent.UserErased(user_id=other))
    await service.env.wait_for_outbox("erasure", user_id=other)
    assert not any(rows(service, learner).values())
    sent = [
        (message.kind, int(message.body.get("rows") or message.body["details"]["rows"]))
        for message in service.env.sent
        if message.kind != "activity" and message.body["user_id"] == learner.user_id
    ]
    [(_, first), *_] = sent
    assert sent == [("audit_entry", first), ("erasure", first), ("audit_entry", 1)]


async def test_a_merge_moves_all_rows_of_a_guest_to_the_user(service: Service) -> None:
    guest, person = await learner_with_events(service, 3), await learner_with_events(service)
    user_rows, guest_rows = rows(service, person), rows(service, guest)
    merged = AccountEvent.UserMerged(user_id=guest.user_id, into_user_id=person.user_id)
    service.env.feed.append(user_merged=merged)
    # Events are applied in order, so the receipt of a later erasure proves that the merge is done.
    service.env.feed.append(user_erased=AccountEvent.UserErased(user_id=service.learner().user_id))
    await service.env.wait_for_outbox("erasure")
    assert not any(rows(service, guest).values())
    for table in ("sessions", "session_events"):
        assert rows(service, person)[table] == user_rows[table] + guest_rows[table]
