"""SessionService."""

import json
import uuid

import grpc

from chassis import paging, peers
from chassis.bell import Bell
from chassis.calls import Context
from chassis.database import Database
from chassis.errors import DomainError, FieldInvalid
from chassis.idempotency import replay
from chassis.wire import Spelling, timestamp
from meno.content.v1.content_service_pb2 import CONTENT_KIND_LESSON, GetContentRequest
from meno.content.v1.content_service_pb2_grpc import ContentServiceStub
from meno.session.v1.session_service_pb2 import (
    SESSION_MODE_TEACH_ME,
    Action,
    ApplyActionRequest,
    CreateSessionRequest,
    GetSessionRequest,
    Goal,
    ListSessionsRequest,
    ListSessionsResponse,
    Phase,
    Session,
    SessionMode,
)
from meno.session.v1.session_service_pb2_grpc import SessionServiceServicer
from session_service.activity import Activity
from session_service.errors import ActionNotAllowed, SessionNotFound, StateVersionStale
from session_service.events import store as events
from session_service.events.store import NewEvent
from session_service.sessions import rules, store
from session_service.sessions.store import NewSession, SessionRow

MODES = Spelling(SessionMode, lower=True)
PHASES = Spelling(Phase)
ACTIONS = Spelling(Action)


class SessionServicer(SessionServiceServicer):
    """Study sessions and where they stand."""

    def __init__(self, database: Database, bell: Bell, content: grpc.aio.Channel, activity: Activity) -> None:
        self._database = database
        self._activity = activity
        self._bell = bell
        self._content = ContentServiceStub(content)

    async def CreateSession(self, request: CreateSessionRequest, context: Context) -> Session:
        try:
            lesson_title = await self._lesson_title(request) if request.content_id else ""
        except (DomainError, grpc.aio.AioRpcError):
            # A repetition is answered as it was before, whatever has become of the lesson.
            await replay(self._database)
            raise
        session = NewSession(
            user_id=request.user_id,
            mode=MODES.text(request.mode or SESSION_MODE_TEACH_ME),
            goal=_goal(request),
            class_id=request.class_id or None,
            content_id=request.content_id or None,
            lesson_title=lesson_title,
        )
        async with self._activity.write(request.user_id) as transaction:
            return transaction.answer(message(await store.add(transaction, session)))

    async def GetSession(self, request: GetSessionRequest, context: Context) -> Session:
        row = await store.get(self._database, request.user_id, request.session_id)
        if row is None:
            raise SessionNotFound(request.session_id)
        return message(row)

    async def ListSessions(self, request: ListSessionsRequest, context: Context) -> ListSessionsResponse:
        (before_id,) = paging.position(request, (paging.AFTER_ALL_IDS,))
        rows = await store.of_user(self._database, request.user_id, before_id, paging.size(request) + 1)
        rows, following = paging.page(request, rows, lambda row: (row.session_id,))
        return ListSessionsResponse(sessions=[message(row) for row in rows], next_page_token=following)

    async def ApplyAction(self, request: ApplyActionRequest, context: Context) -> Session:
        async with self._activity.write(request.user_id) as transaction:
            row = await store.locked(transaction, request.user_id, request.session_id)
            if row is None:
                raise SessionNotFound(request.session_id)
            if request.state_version and request.state_version != row.state_version:
                raise StateVersionStale(row.state_version)
            following = _following(row, request.action)
            event = _phase_changed(row.phase, following, request.action)
            await events.append(transaction, row.user_id, row.session_id, [event])
            answer = transaction.answer(message(await store.move(transaction, row, following)))
        self._bell.ring(row.session_id)
        return answer

    async def _lesson_title(self, request: CreateSessionRequest) -> str:
        wanted = GetContentRequest(class_id=request.class_id, content_id=request.content_id)
        content = await self._content.GetContent(wanted, **peers.forwarded())
        if content.kind != CONTENT_KIND_LESSON:
            raise FieldInvalid.of("content_id", "must name a lesson", "create_session.content_kind")
        return content.title


def message(row: SessionRow) -> Session:
    """A session as it travels."""
    mode, phase = MODES.number(row.mode), PHASES.number(row.phase)
    return Session(
        user_id=row.user_id,
        session_id=row.session_id,
        mode=mode,
        goal=Goal(**row.goal) if row.goal else None,
        class_id=row.class_id or "",
        content_id=row.content_id or "",
        lesson_title=row.lesson_title,
        phase=phase,
        allowed_actions=rules.allowed_actions(mode, phase),
        state_version=row.state_version,
        last_sequence=row.last_sequence,
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
    )


def _following(row: SessionRow, action: Action.ValueType) -> str:
    mode, phase = MODES.number(row.mode), PHASES.number(row.phase)
    following = rules.next_phase(mode, phase, action)
    if following is None:
        raise ActionNotAllowed(row.phase, map(ACTIONS.text, rules.allowed_actions(mode, phase)))
    return PHASES.text(following)


def _phase_changed(phase: str, following: str, action: Action.ValueType) -> NewEvent:
    payload = {"from": phase, "to": following, "action": ACTIONS.text(action)}
    return NewEvent(str(uuid.uuid4()), "PHASE_CHANGED", 0, json.dumps(payload))


def _goal(request: CreateSessionRequest) -> dict[str, str] | None:
    if not request.HasField("goal"):
        return None
    return {"text": request.goal.text, "exam_type": request.goal.exam_type}
