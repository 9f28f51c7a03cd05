"""EventService."""

import asyncio
import uuid
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value
from google.rpc.error_details_pb2 import BadRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.testing import execute_sql, expect_error
from meno.session.v1.event_service_pb2 import AppendEventsRequest, ListEventsRequest, WatchEventsRequest
from meno.session.v1.resources_pb2 import (
    EVENT_KIND_CHECK,
    EVENT_KIND_PHASE_CHANGED,
    SESSION_ACTION_COMPLETE,
    SESSION_ACTION_START_TOPIC,
    Event,
    EventKind,
)
from session_service.tests.conftest import Service, event


def struct(**fields: Any) -> Struct:
    message = Struct()
    message.update(fields)
    return message


async def test_events_are_numbered_in_the_order_of_the_request(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    sent = [event(step=index, payload=struct(index=index)) for index in range(7)]
    added = [*await service.append(learner, session, sent[:3])]
    added += await service.append(learner, session, sent[3:])
    assert [one.sequence for one in added] == [1, 2, 3, 4, 5, 6, 7]
    assert [contents(one) for one in added] == [contents(one) for one in sent]
    assert await service.history(learner, session) == added
    times = [one.create_time.ToDatetime() for one in added]
    assert times == sorted(times)


async def test_an_event_keeps_its_kind(service: Service) -> None:
    learner = service.learner()
    kinds = [kind for kind in EventKind.values()[1:] if kind != EVENT_KIND_PHASE_CHANGED]
    sent = [event(kind=kind) for kind in kinds]
    added = await service.append(learner, await service.create(learner), sent)
    assert [(one.kind, one.HasField("payload")) for one in added] == [(kind, False) for kind in kinds]


async def test_kinds_are_stored_in_their_original_spelling(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    kinds = [kind for kind in EventKind.values()[1:] if kind != EVENT_KIND_PHASE_CHANGED]
    await service.append(learner, session, [event(kind=kind) for kind in kinds])
    await service.apply(learner, session, SESSION_ACTION_START_TOPIC)
    stored = execute_sql(service.database_url, "SELECT kind FROM session_events ORDER BY sequence")
    assert [kind for (kind,) in stored] == [
        *("Present", "Check", "Diagnose", "Remediate", "Advance"),
        "PhaseChanged",
    ]


async def test_a_repeated_event_is_returned_as_it_was_stored_first(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    payload = struct(text="naïve", number=1e300, small=-0.0, whole=3, truth=True, list=[None, {}])
    sent = event(step=4, payload=payload)
    [first] = await service.append(learner, session, [sent])
    again = Event(client_event_id=sent.client_event_id.upper(), kind=sent.kind, step=4, payload=sent.payload)
    mixed = await service.append(learner, session, [event(), again, event()])
    assert [one.sequence for one in mixed] == [2, 1, 3]
    assert mixed[1] == first
    assert len(await service.history(learner, session)) == 3


async def test_the_id_of_a_different_event_is_refused(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    same: dict[str, Any] = {"client_event_id": str(uuid.uuid4()), "step": 1, "payload": struct(a=1)}
    await service.append(learner, session, [event(**same)])
    for other in ({"step": 2}, {"kind": EVENT_KIND_CHECK}, {"payload": struct(a=True)}, {"payload": None}):
        denied = await expect_error(service.append(learner, session, [event(), event(**same | other)]))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "EVENT_ID_REUSED")
        assert denied.metadata == {"client_event_id": same["client_event_id"]}
    assert len(await service.history(learner, session)) == 1


async def test_an_id_that_occurs_twice_in_a_batch_is_refused(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    sent, upper = event(), event()
    upper.client_event_id = sent.client_event_id.upper()
    denied = await expect_error(service.append(learner, session, [sent, event(), upper]))
    assert (denied.reason, denied.metadata) == (
        "EVENT_ID_REUSED",
        {"client_event_id": sent.client_event_id},
    )
    assert not await service.history(learner, session)


async def test_two_sessions_may_contain_the_same_event_id(service: Service) -> None:
    learner, sent = service.learner(), event()
    for _ in range(2):
        [added] = await service.append(learner, await service.create(learner), [sent])
        assert added.sequence == 1


async def test_a_payload_that_is_too_large_is_refused(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    nine_levels = struct(l2={"l3": {"l4": {"l5": {"l6": {"l7": {"l8": {"l9": {}}}}}}}})
    for payload in (struct(text="x" * 16 * 1024), nine_levels):
        sent = event(payload=payload)
        denied = await expect_error(service.append(learner, session, [event(), sent]))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE")
        assert denied.metadata == {"client_event_id": sent.client_event_id}
    assert not await service.history(learner, session)


async def test_a_payload_that_json_does_not_support_is_refused_with_its_index(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    sent = event(payload=Struct(fields={"score": Value(number_value=float("nan"))}))
    denied = await expect_error(service.append(learner, session, [event(), sent]))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert denied.detail(BadRequest).field_violations[0].field == "events[1].payload"


async def test_events_that_break_the_contract_are_refused(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    wrong: list[dict[str, Any]] = [
        {"kind": EVENT_KIND_PHASE_CHANGED},
        {"kind": 0},
        {"step": -1},
        {"client_event_id": ""},
    ]
    for events in (
        [],
        [event() for _ in range(101)],
        [Event()] * 20_000,
        *([event(**fields)] for fields in wrong),
    ):
        denied = await expect_error(service.append(learner, session, events))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert not await service.history(learner, session)


async def test_a_completed_session_accepts_no_further_events(service: Service) -> None:
    learner = service.learner()
    started, sent = await service.create(learner), event()
    [first] = await service.append(learner, started, [sent])
    session = await service.apply(learner, started, SESSION_ACTION_START_TOPIC, SESSION_ACTION_COMPLETE)
    for events in ([event()], [sent, event()]):
        denied = await expect_error(service.append(learner, session, events))
        assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "SESSION_COMPLETED")
        assert denied.metadata == {"session_id": session.session_id}
    assert await service.append(learner, session, [sent]) == [first]
    assert len(await service.history(learner, session)) == 3


async def test_access_to_the_events_of_another_user_is_denied(service: Service) -> None:
    owner, other = service.learner(), service.learner(role="TEACHER")
    session = await service.create(owner)
    foreign: dict[str, Any] = {"user_id": owner.user_id, "session_id": session.session_id}
    for call in (
        service.events.AppendEvents(AppendEventsRequest(events=[event()], **foreign), **other.auth),
        service.events.ListEvents(ListEventsRequest(**foreign), **other.auth),
        service.events.WatchEvents(WatchEventsRequest(**foreign), **other.auth),
    ):
        denied = await expect_error(call)
        assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_events_of_a_foreign_or_deleted_session_are_not_found(service: Service) -> None:
    learner = service.learner()
    deleted = await service.create(learner)
    await service.delete(deleted)
    for session in (await service.create(service.learner()), deleted):
        for call in (
            service.append(learner, session, [event()]),
            service.history(learner, session),
            service.watch(learner, session),
        ):
            denied = await expect_error(call)
            assert (denied.code, denied.reason) == ("NOT_FOUND", "SESSION_NOT_FOUND")


async def test_concurrent_appends_with_one_request_id_append_once(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    request = AppendEventsRequest(
        user_id="me",
        session_id=session.session_id,
        events=[event(), event()],
        request_id=str(uuid.uuid4()),
    )
    calls = [service.events.AppendEvents(request, **learner.auth) for _ in range(20)]
    replies = await asyncio.gather(*calls)
    assert [replies[0]] * 20 == replies
    assert await service.history(learner, session) == [*replies[0].events]
    request.events[0].step = 1
    denied = await expect_error(service.events.AppendEvents(request, **learner.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def test_concurrent_appends_of_the_same_events_append_once(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    sent = [event(), event()]
    answers = await asyncio.gather(*[service.append(learner, session, sent) for _ in range(20)])
    assert [answers[0]] * 20 == answers
    assert await service.history(learner, session) == answers[0]


async def test_concurrent_events_and_actions_are_numbered_without_gaps(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    batches = [[event() for _ in range(1 + index % 3)] for index in range(30)]
    answers = await asyncio.gather(
        *[service.append(learner, session, batch) for batch in batches],
        service.apply(learner, session, SESSION_ACTION_START_TOPIC),
    )
    for batch in answers[:-1]:
        assert isinstance(batch, list)
        sequences = [one.sequence for one in batch]
        assert sequences == [*range(sequences[0], sequences[0] + len(batch))]
    history = await service.history(learner, session)
    assert [one.sequence for one in history] == [*range(1, 61 + 1)]
    assert [one.create_time.ToNanoseconds() for one in history] == sorted(
        one.create_time.ToNanoseconds() for one in history
    )


async def test_no_event_is_appended_after_a_concurrent_completion(service: Service) -> None:
    learner = service.learner()
    session = await service.apply(learner, await service.create(learner), SESSION_ACTION_START_TOPIC)
    outcomes = await asyncio.gather(
        *[service.append(learner, session, [event()]) for _ in range(15)],
        service.apply(learner, session, SESSION_ACTION_COMPLETE),
        *[service.append(learner, session, [event()]) for _ in range(15)],
        return_exceptions=True,
    )
    history = await service.history(learner, session)
    assert history[-1].payload["to"] == "COMPLETED"
    assert len(history) == 1 + sum(not isinstance(outcome, Exception) for outcome in outcomes)


async def test_pages_contain_every_event_once(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    added = await service.append(learner, session, [event() for _ in range(7)])
    for size in (1, 3, 6, 7, 8):
        assert await service.history(learner, session, page_size=size) == added


async def test_a_page_of_large_events_fits_into_a_grpc_message(service: Service) -> None:
    learner = service.learner()
    session = await service.create(learner)
    payload = struct(numbers=[1] * 8000)
    added = []
    for _ in range(14):
        added += await service.append(learner, session, [event(payload=payload)])
    request = ListEventsRequest(user_id="me", session_id=session.session_id, page_size=1000)
    reply = await service.events.ListEvents(request, **learner.auth)
    assert 0 < len(reply.events) < len(added)
    assert reply.ByteSize() < 4 * 1024 * 1024
    assert await service.history(learner, session, page_size=1000) == added


async def test_a_page_token_of_another_session_is_refused(service: Service) -> None:
    learner = service.learner()
    first, second = await service.create(learner), await service.create(learner)
    await service.append(learner, first, [event(), event()])
    request = ListEventsRequest(user_id="me", session_id=first.session_id, page_size=1)
    token = (await service.events.ListEvents(request, **learner.auth)).next_page_token
    for foreign in (token, "nonsense"):
        request = ListEventsRequest(user_id="me", session_id=second.session_id, page_token=foreign)
        denied = await expect_error(service.events.ListEvents(request, **learner.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


batches = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True), max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=batches, page_size=st.integers(1, 6))
async def test_events_keep_the_order_of_their_first_append(
    service: Service, batches: list[list[int]], page_size: int
) -> None:
    learner = service.learner()
    session = await service.create(learner)
    known = [event(step=number) for number in range(10)]
    arrived: list[int] = []
    for batch in batches:
        arrived += [number for number in batch if number not in arrived]
        answer = await service.append(learner, session, [known[number] for number in batch])
        assert [(one.step, one.sequence) for one in answer] == [
            (number, 1 + arrived.index(number)) for number in batch
        ]
    history = await service.history(learner, session, page_size)
    assert [one.step for one in history] == arrived
    assert [one.sequence for one in history] == [*range(1, len(arrived) + 1)]


def contents(one: Event) -> tuple[str, EventKind.ValueType, int, str]:
    return one.client_event_id, one.kind, one.step, str(one.payload)
