"""Sessions, over gRPC."""

import asyncio
import uuid
from typing import Any

import grpc
import psycopg
import pytest

from chassis.idempotency import hash_body
from chassis.testing import SECRET, refused
from meno.session.v1.event_service_pb2 import EVENT_KIND_PHASE_CHANGED
from meno.session.v1.session_service_pb2 import (
    ACTION_COMPLETE,
    ACTION_GENERATE_PLAN,
    ACTION_NEXT_TOPIC,
    ACTION_START_TOPIC,
    ACTION_SUBMIT_ANSWERS,
    ACTION_TAKE_QUIZ,
    PHASE_ANALYZING,
    PHASE_COMPLETED,
    PHASE_INTAKE,
    PHASE_LEARNING,
    PHASE_PLANNING,
    SESSION_MODE_EXAM,
    SESSION_MODE_TEACH_ME,
    Action,
    ApplyActionRequest,
    CreateSessionRequest,
    GetSessionRequest,
    Goal,
    ListSessionsRequest,
    Session,
    SessionMode,
)
from session_service.tests.conftest import Learner, Service

A_LESSON: dict[str, Any] = {"class_id": str(uuid.uuid4()), "content_id": str(uuid.uuid4())}


async def test_a_session_begins_with_intake(service: Service) -> None:
    learner = service.learner()
    goal = Goal(text="Pass in May", exam_type="NEET")
    made = await service.sessions.CreateSession(CreateSessionRequest(user_id="me", goal=goal), **learner.auth)
    assert (made.user_id, made.mode, made.goal) == (learner.user_id, SESSION_MODE_TEACH_ME, goal)
    assert (made.phase, [*made.allowed_actions]) == (PHASE_INTAKE, [ACTION_GENERATE_PLAN])
    assert (made.state_version, made.last_sequence, made.lesson_title) == (1, 0, "")
    assert made.create_time == made.update_time
    request = GetSessionRequest(user_id="me", session_id=made.session_id)
    assert await service.sessions.GetSession(request, **learner.auth) == made


async def test_a_session_has_the_mode_it_began_in(service: Service) -> None:
    for mode in SessionMode.values()[1:]:
        made = await service.begin(service.learner(), mode)
        assert (made.mode, made.HasField("goal")) == (mode, False)


async def test_a_guest_has_sessions_too(service: Service) -> None:
    guest = service.learner(guest=True)
    assert (await service.begin(guest)).user_id == guest.user_id


async def test_an_unknown_session_is_not_found(service: Service) -> None:
    learner, unknown = service.learner(), str(uuid.uuid4())
    request = GetSessionRequest(user_id="me", session_id=unknown)
    denied = await refused(service.sessions.GetSession(request, **learner.auth))
    assert (denied.code, denied.reason) == ("NOT_FOUND", "SESSION_NOT_FOUND")
    assert denied.metadata == {"session_id": unknown}
    action = ApplyActionRequest(user_id="me", session_id=unknown, action=ACTION_COMPLETE)
    assert (await refused(service.sessions.ApplyAction(action, **learner.auth))).reason == "SESSION_NOT_FOUND"


async def test_another_persons_sessions_are_denied(service: Service) -> None:
    owner, other = service.learner(), service.learner(role="ADMIN")
    made = await service.begin(owner)
    theirs: dict[str, Any] = {"user_id": owner.user_id, "session_id": made.session_id}
    for call in (
        service.sessions.CreateSession(CreateSessionRequest(user_id=owner.user_id), **other.auth),
        service.sessions.GetSession(GetSessionRequest(**theirs), **other.auth),
        service.sessions.ListSessions(ListSessionsRequest(user_id=owner.user_id), **other.auth),
        service.sessions.ApplyAction(ApplyActionRequest(action=ACTION_START_TOPIC, **theirs), **other.auth),
    ):
        denied = await refused(call)
        assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_another_persons_session_is_not_found_under_ones_own_name(service: Service) -> None:
    made, other = await service.begin(service.learner()), service.learner()
    mine: dict[str, Any] = {"user_id": "me", "session_id": made.session_id}
    for call in (
        service.sessions.GetSession(GetSessionRequest(**mine), **other.auth),
        service.sessions.ApplyAction(ApplyActionRequest(action=ACTION_START_TOPIC, **mine), **other.auth),
    ):
        assert (await refused(call)).reason == "SESSION_NOT_FOUND"


async def test_a_deleted_session_is_gone(service: Service) -> None:
    learner = service.learner()
    kept, deleted = await service.begin(learner), await service.begin(learner)
    await service.delete(deleted)
    mine: dict[str, Any] = {"user_id": "me", "session_id": deleted.session_id}
    for call in (
        service.sessions.GetSession(GetSessionRequest(**mine), **learner.auth),
        service.sessions.ApplyAction(ApplyActionRequest(action=ACTION_START_TOPIC, **mine), **learner.auth),
    ):
        assert (await refused(call)).reason == "SESSION_NOT_FOUND"
    listed = await service.sessions.ListSessions(ListSessionsRequest(user_id="me"), **learner.auth)
    assert [*listed.sessions] == [kept]


async def test_pages_hold_every_session_once_newest_first(service: Service) -> None:
    learner = service.learner()
    await service.begin(service.learner())
    made = [(await service.begin(learner)).session_id for _ in range(5)]
    request = ListSessionsRequest(user_id="me", page_size=2)
    seen: list[str] = []
    while True:
        reply = await service.sessions.ListSessions(request, **learner.auth)
        seen += [session.session_id for session in reply.sessions]
        if not reply.next_page_token:
            break
        request.page_token = reply.next_page_token
    assert seen == made[::-1]


async def test_a_page_token_of_another_person_is_refused(service: Service) -> None:
    learner, other = service.learner(), service.learner()
    for _ in range(2):
        await service.begin(other)
    first = ListSessionsRequest(user_id="me", page_size=1)
    token = (await service.sessions.ListSessions(first, **other.auth)).next_page_token
    for foreign in (token, "nonsense"):
        request = ListSessionsRequest(user_id="me", page_token=foreign)
        denied = await refused(service.sessions.ListSessions(request, **learner.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


async def test_a_taught_session_goes_topic_by_topic_to_its_end(service: Service) -> None:
    learner = service.learner()
    topic = (ACTION_START_TOPIC, ACTION_TAKE_QUIZ, ACTION_SUBMIT_ANSWERS)
    walk = (ACTION_GENERATE_PLAN, *topic, ACTION_NEXT_TOPIC, *topic, ACTION_COMPLETE)
    begun = await service.begin(learner, SESSION_MODE_TEACH_ME)
    ended = await service.apply(learner, begun, *walk)
    assert (ended.phase, [*ended.allowed_actions]) == (PHASE_COMPLETED, [])
    assert (ended.state_version, ended.last_sequence) == (1 + len(walk), len(walk))
    assert ended.update_time.ToDatetime() > begun.update_time.ToDatetime()
    history = await service.history(learner, ended)
    assert {event.kind for event in history} == {EVENT_KIND_PHASE_CHANGED}
    assert [event.payload["action"] for event in history] == [
        Action.Name(action).removeprefix("ACTION_") for action in walk
    ]
    assert dict(history[4].payload) == {"from": "ANALYZING", "to": "PLANNING", "action": "NEXT_TOPIC"}
    assert len({event.client_event_id for event in history}) == len(walk)


async def test_an_action_that_a_phase_lacks_is_refused_with_those_it_has(service: Service) -> None:
    learner = service.learner()
    walk = (ACTION_GENERATE_PLAN, ACTION_START_TOPIC, ACTION_TAKE_QUIZ, ACTION_SUBMIT_ANSWERS)
    session = await service.apply(learner, await service.begin(learner, SESSION_MODE_TEACH_ME), *walk)
    assert session.phase == PHASE_ANALYZING
    request = ApplyActionRequest(user_id="me", session_id=session.session_id, action=ACTION_TAKE_QUIZ)
    denied = await refused(service.sessions.ApplyAction(request, **learner.auth))
    assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "ACTION_NOT_ALLOWED")
    assert denied.metadata == {"phase": "ANALYZING", "allowed_actions": "NEXT_TOPIC,COMPLETE"}
    assert await look(service, learner, session) == session


async def test_nothing_leads_out_of_a_completed_session(service: Service) -> None:
    learner = service.learner()
    begun = await service.begin(learner, SESSION_MODE_EXAM)
    ended = await service.apply(learner, begun, ACTION_TAKE_QUIZ, ACTION_SUBMIT_ANSWERS, ACTION_COMPLETE)
    for action in Action.values()[1:]:
        request = ApplyActionRequest(user_id="me", session_id=ended.session_id, action=action)
        denied = await refused(service.sessions.ApplyAction(request, **learner.auth))
        assert denied.metadata == {"phase": "COMPLETED", "allowed_actions": ""}


async def test_a_stale_state_version_is_refused_with_the_current_one(service: Service) -> None:
    learner = service.learner()
    session = await service.apply(learner, await service.begin(learner), ACTION_START_TOPIC)
    for stale in (1, 3):
        request = ApplyActionRequest(
            user_id="me", session_id=session.session_id, action=ACTION_COMPLETE, state_version=stale
        )
        denied = await refused(service.sessions.ApplyAction(request, **learner.auth))
        assert (denied.code, denied.reason) == ("ABORTED", "STATE_VERSION_STALE")
        assert denied.metadata == {"state_version": "2"}
    request.state_version = 2
    assert (await service.sessions.ApplyAction(request, **learner.auth)).phase == PHASE_COMPLETED


async def test_of_a_hundred_who_saw_the_same_state_one_wins(service: Service) -> None:
    learner = service.learner()
    begun = await service.begin(learner)
    request = ApplyActionRequest(
        user_id="me", session_id=begun.session_id, action=ACTION_START_TOPIC, state_version=1
    )
    calls = [service.sessions.ApplyAction(request, **learner.auth) for _ in range(100)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, Session) for outcome in outcomes) == 1
    lost = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert {error.code() for error in lost} == {grpc.StatusCode.ABORTED}
    after = await look(service, learner, begun)
    assert (after.phase, after.state_version, after.last_sequence) == (PHASE_LEARNING, 2, 1)


async def test_one_request_id_begins_one_session(service: Service) -> None:
    learner = service.learner()
    request = CreateSessionRequest(user_id="me", request_id=str(uuid.uuid4()))
    calls = [service.sessions.CreateSession(request, **learner.auth) for _ in range(20)]
    made = await asyncio.gather(*calls)
    assert [made[0]] * 20 == made
    listed = await service.sessions.ListSessions(ListSessionsRequest(user_id="me"), **learner.auth)
    assert [*listed.sessions] == made[:1]
    request.mode = SESSION_MODE_EXAM
    denied = await refused(service.sessions.CreateSession(request, **learner.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def test_one_request_id_moves_a_session_once(service: Service) -> None:
    learner = service.learner()
    begun = await service.begin(learner, SESSION_MODE_TEACH_ME)
    request = ApplyActionRequest(
        user_id="me", session_id=begun.session_id, action=ACTION_GENERATE_PLAN, request_id=str(uuid.uuid4())
    )
    calls = [service.sessions.ApplyAction(request, **learner.auth) for _ in range(20)]
    moved = await asyncio.gather(*calls)
    assert [moved[0]] * 20 == moved
    assert await look(service, learner, begun) == moved[0]
    assert (moved[0].phase, moved[0].last_sequence) == (PHASE_PLANNING, 1)


async def test_a_lesson_is_named_whole_or_not_at_all(service: Service) -> None:
    learner, one = service.learner(), str(uuid.uuid4())
    for request in (
        CreateSessionRequest(user_id="me", class_id=one),
        CreateSessionRequest(user_id="me", content_id=one),
    ):
        denied = await refused(service.sessions.CreateSession(request, **learner.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_a_goal_that_no_text_can_hold_is_refused(service: Service) -> None:
    learner = service.learner()
    for goal in (Goal(text="a\0b"), Goal(exam_type="\0")):
        request = CreateSessionRequest(user_id="me", goal=goal)
        denied = await refused(service.sessions.CreateSession(request, **learner.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_with_the_lesson_out_of_reach_nothing_begins(service: Service) -> None:
    learner = service.learner()
    request = CreateSessionRequest(user_id="me", request_id=str(uuid.uuid4()), **A_LESSON)
    denied = await refused(service.sessions.CreateSession(request, timeout=20, **learner.auth))
    assert (denied.code, denied.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    listed = await service.sessions.ListSessions(ListSessionsRequest(user_id="me"), **learner.auth)
    assert not listed.sessions
    with psycopg.connect(service.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM request_memory").fetchone() == (0,)


async def test_a_deadline_holds_while_the_lesson_is_out_of_reach(service: Service) -> None:
    learner = service.learner()
    request = CreateSessionRequest(user_id="me", **A_LESSON)
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await service.sessions.CreateSession(request, timeout=0.2, **learner.auth)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    listed = await service.sessions.ListSessions(ListSessionsRequest(user_id="me"), **learner.auth)
    assert not listed.sessions


async def test_a_repetition_is_answered_though_the_lesson_is_out_of_reach_now(service: Service) -> None:
    learner = service.learner()
    request = CreateSessionRequest(user_id=learner.user_id, request_id=str(uuid.uuid4()), **A_LESSON)
    answered = Session(user_id=learner.user_id, session_id=str(uuid.uuid4()), lesson_title="Fractions")
    body_hash = hash_body(SECRET, request.SerializeToString(deterministic=True))
    with psycopg.connect(service.database_url) as connection:
        connection.execute(
            "INSERT INTO request_memory (principal, method, request_id, body_hash, answer)"
            " VALUES (%s, '/meno.session.v1.SessionService/CreateSession', %s, %s, %s)",
            [learner.user_id, request.request_id, body_hash, answered.SerializeToString()],
        )
    assert await service.sessions.CreateSession(request, **learner.auth) == answered


async def look(service: Service, learner: Learner, session: Session) -> Session:
    request = GetSessionRequest(user_id="me", session_id=session.session_id)
    return await service.sessions.GetSession(request, **learner.auth)
