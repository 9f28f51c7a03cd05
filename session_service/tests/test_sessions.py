"""SessionService."""

import asyncio
import uuid
from typing import Any

import grpc
import pytest

from chassis.idempotency import hash_body
from chassis.testing import SECRET, execute_sql, expect_error, read_pages
from meno.session.v1.resources_pb2 import (
    EVENT_KIND_PHASE_CHANGED,
    SESSION_ACTION_COMPLETE,
    SESSION_ACTION_GENERATE_PLAN,
    SESSION_ACTION_NEXT_TOPIC,
    SESSION_ACTION_START_TOPIC,
    SESSION_ACTION_SUBMIT_ANSWERS,
    SESSION_ACTION_TAKE_QUIZ,
    SESSION_MODE_EXAM,
    SESSION_MODE_TEACH_ME,
    SESSION_PHASE_ANALYZING,
    SESSION_PHASE_COMPLETED,
    SESSION_PHASE_INTAKE,
    SESSION_PHASE_LEARNING,
    SESSION_PHASE_PLANNING,
    Goal,
    Session,
    SessionAction,
    SessionMode,
)
from meno.session.v1.session_service_pb2 import (
    ApplyActionRequest,
    CreateSessionRequest,
    GetSessionRequest,
    ListSessionsRequest,
)
from session_service.tests.conftest import Learner, Service

A_LESSON: dict[str, Any] = {"class_id": str(uuid.uuid4()), "content_id": str(uuid.uuid4())}


async def test_a_new_session_is_in_phase_intake(service: Service) -> None:
    learner = service.learner()
    goal = Goal(text="Pass in May", exam_type="NEET")
    created = await service.sessions.CreateSession(
        CreateSessionRequest(user_id="me", goal=goal), **learner.auth
    )
    assert (created.user_id, created.mode, created.goal) == (learner.user_id, SESSION_MODE_TEACH_ME, goal)
    assert (created.phase, [*created.allowed_actions]) == (
        SESSION_PHASE_INTAKE,
        [SESSION_ACTION_GENERATE_PLAN],
    )
    assert (created.state_version, created.last_sequence, created.lesson_title) == (1, 0, "")
    assert created.create_time == created.update_time
    request = GetSessionRequest(user_id="me", session_id=created.session_id)
    assert await service.sessions.GetSession(request, **learner.auth) == created


async def test_a_session_has_the_requested_mode(service: Service) -> None:
    for mode in SessionMode.values()[1:]:
        created = await service.create(service.learner(), mode)
        assert (created.mode, created.HasField("goal")) == (mode, False)


async def test_a_guest_can_create_a_session(service: Service) -> None:
    guest = service.learner(guest=True)
    assert (await service.create(guest)).user_id == guest.user_id


async def test_an_unknown_session_is_not_found(service: Service) -> None:
    learner, unknown = service.learner(), str(uuid.uuid4())
    request = GetSessionRequest(user_id="me", session_id=unknown)
    denied = await expect_error(service.sessions.GetSession(request, **learner.auth))
    assert (denied.code, denied.reason) == ("NOT_FOUND", "SESSION_NOT_FOUND")
    assert denied.metadata == {"session_id": unknown}
    action = ApplyActionRequest(user_id="me", session_id=unknown, action=SESSION_ACTION_COMPLETE)
    assert (
        await expect_error(service.sessions.ApplyAction(action, **learner.auth))
    ).reason == "SESSION_NOT_FOUND"


async def test_access_to_the_sessions_of_another_user_is_denied(service: Service) -> None:
    owner, other = service.learner(), service.learner(role="ADMIN")
    created = await service.create(owner)
    foreign: dict[str, Any] = {"user_id": owner.user_id, "session_id": created.session_id}
    for call in (
        service.sessions.CreateSession(CreateSessionRequest(user_id=owner.user_id), **other.auth),
        service.sessions.GetSession(GetSessionRequest(**foreign), **other.auth),
        service.sessions.ListSessions(ListSessionsRequest(user_id=owner.user_id), **other.auth),
        service.sessions.ApplyAction(
            ApplyActionRequest(action=SESSION_ACTION_START_TOPIC, **foreign), **other.auth
        ),
    ):
        denied = await expect_error(call)
        assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_a_session_of_another_user_is_not_found_under_the_own_user_id(service: Service) -> None:
    created, other = await service.create(service.learner()), service.learner()
    own: dict[str, Any] = {"user_id": "me", "session_id": created.session_id}
    for call in (
        service.sessions.GetSession(GetSessionRequest(**own), **other.auth),
        service.sessions.ApplyAction(
            ApplyActionRequest(action=SESSION_ACTION_START_TOPIC, **own), **other.auth
        ),
    ):
        assert (await expect_error(call)).reason == "SESSION_NOT_FOUND"


async def test_a_deleted_session_is_not_found(service: Service) -> None:
    learner = service.learner()
    kept, deleted = await service.create(learner), await service.create(learner)
    await service.delete(deleted)
    own: dict[str, Any] = {"user_id": "me", "session_id": deleted.session_id}
    for call in (
        service.sessions.GetSession(GetSessionRequest(**own), **learner.auth),
        service.sessions.ApplyAction(
            ApplyActionRequest(action=SESSION_ACTION_START_TOPIC, **own), **learner.auth
        ),
    ):
        assert (await expect_error(call)).reason == "SESSION_NOT_FOUND"
    listed = await service.sessions.ListSessions(ListSessionsRequest(user_id="me"), **learner.auth)
    assert [*listed.sessions] == [kept]


async def test_pages_contain_every_session_once_newest_first(service: Service) -> None:
    learner = service.learner()
    await service.create(service.learner())
    created = [(await service.create(learner)).session_id for _ in range(5)]
    request = ListSessionsRequest(user_id="me", page_size=2)
    pages = read_pages(service.sessions.ListSessions, request, **learner.auth)
    assert [session.session_id async for page in pages for session in page.sessions] == created[::-1]


async def test_a_page_token_of_another_user_is_refused(service: Service) -> None:
    learner, other = service.learner(), service.learner()
    for _ in range(2):
        await service.create(other)
    first = ListSessionsRequest(user_id="me", page_size=1)
    token = (await service.sessions.ListSessions(first, **other.auth)).next_page_token
    for foreign in (token, "nonsense"):
        request = ListSessionsRequest(user_id="me", page_token=foreign)
        denied = await expect_error(service.sessions.ListSessions(request, **learner.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


async def test_a_teach_me_session_runs_through_two_topics_to_completed(service: Service) -> None:
    learner = service.learner()
    topic = (SESSION_ACTION_START_TOPIC, SESSION_ACTION_TAKE_QUIZ, SESSION_ACTION_SUBMIT_ANSWERS)
    walk = (SESSION_ACTION_GENERATE_PLAN, *topic, SESSION_ACTION_NEXT_TOPIC, *topic, SESSION_ACTION_COMPLETE)
    created = await service.create(learner, SESSION_MODE_TEACH_ME)
    ended = await service.apply(learner, created, *walk)
    assert (ended.phase, [*ended.allowed_actions]) == (SESSION_PHASE_COMPLETED, [])
    assert (ended.state_version, ended.last_sequence) == (1 + len(walk), len(walk))
    assert ended.update_time.ToDatetime() > created.update_time.ToDatetime()
    history = await service.history(learner, ended)
    assert {event.kind for event in history} == {EVENT_KIND_PHASE_CHANGED}
    assert [event.payload["action"] for event in history] == [
        SessionAction.Name(action).removeprefix("SESSION_ACTION_") for action in walk
    ]
    assert dict(history[4].payload) == {"from": "ANALYZING", "to": "PLANNING", "action": "NEXT_TOPIC"}
    assert len({event.client_event_id for event in history}) == len(walk)


async def test_an_action_that_the_phase_does_not_allow_is_refused_with_the_allowed_actions(
    service: Service,
) -> None:
    learner = service.learner()
    walk = (
        SESSION_ACTION_GENERATE_PLAN,
        SESSION_ACTION_START_TOPIC,
        SESSION_ACTION_TAKE_QUIZ,
        SESSION_ACTION_SUBMIT_ANSWERS,
    )
    session = await service.apply(learner, await service.create(learner, SESSION_MODE_TEACH_ME), *walk)
    assert session.phase == SESSION_PHASE_ANALYZING
    request = ApplyActionRequest(user_id="me", session_id=session.session_id, action=SESSION_ACTION_TAKE_QUIZ)
    denied = await expect_error(service.sessions.ApplyAction(request, **learner.auth))
    assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "ACTION_NOT_ALLOWED")
    assert denied.metadata == {"phase": "ANALYZING", "allowed_actions": "NEXT_TOPIC,COMPLETE"}
    assert await get(service, learner, session) == session


async def test_a_completed_session_allows_no_action(service: Service) -> None:
    learner = service.learner()
    created = await service.create(learner, SESSION_MODE_EXAM)
    ended = await service.apply(
        learner, created, SESSION_ACTION_TAKE_QUIZ, SESSION_ACTION_SUBMIT_ANSWERS, SESSION_ACTION_COMPLETE
    )
    for action in SessionAction.values()[1:]:
        request = ApplyActionRequest(user_id="me", session_id=ended.session_id, action=action)
        denied = await expect_error(service.sessions.ApplyAction(request, **learner.auth))
        assert denied.metadata == {"phase": "COMPLETED", "allowed_actions": ""}


async def test_a_stale_state_version_is_refused_with_the_current_one(service: Service) -> None:
    learner = service.learner()
    session = await service.apply(learner, await service.create(learner), SESSION_ACTION_START_TOPIC)
    for stale in (1, 3):
        request = ApplyActionRequest(
            user_id="me", session_id=session.session_id, action=SESSION_ACTION_COMPLETE, state_version=stale
        )
        denied = await expect_error(service.sessions.ApplyAction(request, **learner.auth))
        assert (denied.code, denied.reason) == ("ABORTED", "STATE_VERSION_STALE")
        assert denied.metadata == {"current": "2"}
    request.state_version = 2
    assert (await service.sessions.ApplyAction(request, **learner.auth)).phase == SESSION_PHASE_COMPLETED


async def test_one_of_a_hundred_concurrent_actions_on_the_same_state_version_succeeds(
    service: Service,
) -> None:
    learner = service.learner()
    created = await service.create(learner)
    request = ApplyActionRequest(
        user_id="me", session_id=created.session_id, action=SESSION_ACTION_START_TOPIC, state_version=1
    )
    calls = [service.sessions.ApplyAction(request, **learner.auth) for _ in range(100)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, Session) for outcome in outcomes) == 1
    lost = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert {error.code() for error in lost} == {grpc.StatusCode.ABORTED}
    after = await get(service, learner, created)
    assert (after.phase, after.state_version, after.last_sequence) == (SESSION_PHASE_LEARNING, 2, 1)


async def test_concurrent_creations_with_one_request_id_create_one_session(service: Service) -> None:
    learner = service.learner()
    request = CreateSessionRequest(user_id="me", request_id=str(uuid.uuid4()))
    calls = [service.sessions.CreateSession(request, **learner.auth) for _ in range(20)]
    created = await asyncio.gather(*calls)
    assert [created[0]] * 20 == created
    listed = await service.sessions.ListSessions(ListSessionsRequest(user_id="me"), **learner.auth)
    assert [*listed.sessions] == created[:1]
    request.mode = SESSION_MODE_EXAM
    denied = await expect_error(service.sessions.CreateSession(request, **learner.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def test_concurrent_actions_with_one_request_id_are_applied_once(service: Service) -> None:
    learner = service.learner()
    created = await service.create(learner, SESSION_MODE_TEACH_ME)
    request = ApplyActionRequest(
        user_id="me",
        session_id=created.session_id,
        action=SESSION_ACTION_GENERATE_PLAN,
        request_id=str(uuid.uuid4()),
    )
    calls = [service.sessions.ApplyAction(request, **learner.auth) for _ in range(20)]
    replies = await asyncio.gather(*calls)
    assert [replies[0]] * 20 == replies
    assert await get(service, learner, created) == replies[0]
    assert (replies[0].phase, replies[0].last_sequence) == (SESSION_PHASE_PLANNING, 1)


async def test_a_class_id_without_a_content_id_and_the_reverse_are_refused(service: Service) -> None:
    learner, one = service.learner(), str(uuid.uuid4())
    for request in (
        CreateSessionRequest(user_id="me", class_id=one),
        CreateSessionRequest(user_id="me", content_id=one),
    ):
        denied = await expect_error(service.sessions.CreateSession(request, **learner.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_a_goal_with_a_nul_character_is_refused(service: Service) -> None:
    learner = service.learner()
    for goal in (Goal(text="a\0b"), Goal(exam_type="\0")):
        request = CreateSessionRequest(user_id="me", goal=goal)
        denied = await expect_error(service.sessions.CreateSession(request, **learner.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_no_session_is_created_while_content_service_is_unavailable(service: Service) -> None:
    learner = service.learner()
    request = CreateSessionRequest(user_id="me", request_id=str(uuid.uuid4()), **A_LESSON)
    denied = await expect_error(service.sessions.CreateSession(request, timeout=20, **learner.auth))
    assert (denied.code, denied.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    listed = await service.sessions.ListSessions(ListSessionsRequest(user_id="me"), **learner.auth)
    assert not listed.sessions
    assert execute_sql(service.database_url, "SELECT count(*) FROM idempotency_keys") == [(0,)]


async def test_a_deadline_applies_while_content_service_is_unavailable(service: Service) -> None:
    learner = service.learner()
    request = CreateSessionRequest(user_id="me", **A_LESSON)
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await service.sessions.CreateSession(request, timeout=0.2, **learner.auth)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    listed = await service.sessions.ListSessions(ListSessionsRequest(user_id="me"), **learner.auth)
    assert not listed.sessions


async def test_a_repeated_creation_returns_the_first_response_while_content_service_is_unavailable(
    service: Service,
) -> None:
    learner = service.learner()
    request = CreateSessionRequest(user_id=learner.user_id, request_id=str(uuid.uuid4()), **A_LESSON)
    answered = Session(user_id=learner.user_id, session_id=str(uuid.uuid4()), lesson_title="Fractions")
    body_hash = hash_body(SECRET, request.SerializeToString(deterministic=True))
    execute_sql(
        service.database_url,
        "INSERT INTO idempotency_keys (principal, method, request_id, body_hash, response)"
        " VALUES (%s, '/meno.session.v1.SessionService/CreateSession', %s, %s, %s)",
        *(learner.user_id, request.request_id, body_hash, answered.SerializeToString()),
    )
    assert await service.sessions.CreateSession(request, **learner.auth) == answered


async def get(service: Service, learner: Learner, session: Session) -> Session:
    request = GetSessionRequest(user_id="me", session_id=session.session_id)
    return await service.sessions.GetSession(request, **learner.auth)
