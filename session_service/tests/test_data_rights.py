"""What the service knows of a person is told to them, becomes another's, or goes."""

import psycopg

from chassis.testing import refused
from meno.access.v1.account_feed_service_pb2 import AccountEvent
from meno.access.v1.data_rights_pb2 import ExportUserDataRequest, ExportUserDataResponse
from session_service.tests.conftest import Learner, Service, event

EVENTS = 250
"""More than one batch of an export."""


async def studied(service: Service, events: int = 1) -> Learner:
    """Somebody with a session and events in it, the first of which begins it."""
    learner = service.learner()
    session = await service.begin(learner)
    while events > 0:
        await service.append(learner, session, [event() for _ in range(min(events, 100))])
        events -= 100
    return learner


async def export(service: Service, learner: Learner, of: str = "me") -> list[ExportUserDataResponse]:
    call = service.data_rights.ExportUserData(ExportUserDataRequest(user_id=of), **learner.auth)
    return [step async for step in call]


def rows(service: Service, learner: Learner) -> dict[str, int]:
    """How many rows of each table name somebody."""
    with psycopg.connect(service.database_url) as connection:
        counts = {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE {column}::text = %s", [learner.user_id]
            ).fetchone()
            for table, column in (
                ("sessions", "user_id"),
                ("session_events", "user_id"),
                ("request_memory", "principal"),
            )
        }
    return {table: count[0] for table, count in counts.items() if count}


async def test_a_person_is_told_every_row_of_theirs_and_nobody_elses(service: Service) -> None:
    await studied(service)
    learner = await studied(service, EVENTS)
    *records, last = await export(service, learner)
    told = [step.record for step in records]
    assert {record.fields["user_id"] for record in told} == {learner.user_id}
    collections = [record.collection for record in told]
    assert (collections.count("sessions"), collections.count("session_events")) == (1, EVENTS)
    sequences = [record.fields["sequence"] for record in told if record.collection == "session_events"]
    assert sequences == [*range(1, EVENTS + 1)]
    assert last.done.records == len(told)
    assert set(last.done.withheld) == {"request_memory", "sessions.deleted_by_user_id"}
    entry = await service.house.until_told("audit_entry")
    assert entry.body["action"] == "AUDIT_ACTION_USER_DATA_EXPORTED"
    assert entry.body["user_id"] == entry.body["actor_user_id"] == learner.user_id


async def test_an_administrator_exports_for_others_and_a_student_does_not(service: Service) -> None:
    learner, admin = await studied(service), service.learner(role="ADMIN")
    assert len(await export(service, admin, learner.user_id)) == len(await export(service, learner))
    call = service.data_rights.ExportUserData(
        ExportUserDataRequest(user_id=learner.user_id), **service.learner().auth
    )
    assert (await refused(call)).reason == "ACCESS_DENIED"


async def test_who_is_erased_leaves_nothing_and_a_receipt(service: Service) -> None:
    learner, bystander = await studied(service), await studied(service)
    before, others = rows(service, learner), rows(service, bystander)
    service.house.feed.append(user_erased=AccountEvent.UserErased(user_id=learner.user_id))
    receipt = await service.house.until_told("erasure")
    assert rows(service, learner) == dict.fromkeys(before, 0)
    assert rows(service, bystander) == others
    assert receipt.body == {"user_id": learner.user_id, "rows": sum(before.values())}


async def test_what_was_a_guests_is_whose_the_guest_turns_out_to_be(service: Service) -> None:
    guest, person = await studied(service, 3), await studied(service)
    hers, theirs = rows(service, person), rows(service, guest)
    merged = AccountEvent.UserMerged(user_id=guest.user_id, into_user_id=person.user_id)
    service.house.feed.append(user_merged=merged)
    # Events are applied in order: the receipt of another erasure tells that the merge is done.
    service.house.feed.append(user_erased=AccountEvent.UserErased(user_id=service.learner().user_id))
    await service.house.until_told("erasure")
    assert not any(rows(service, guest).values())
    for table in ("sessions", "session_events"):
        assert rows(service, person)[table] == hers[table] + theirs[table]
