"""Use cases of sessions."""

import uuid
from typing import TYPE_CHECKING

import grpc

from chassis import etags, peers
from chassis.activity import ActivityReporter
from chassis.database import Database
from chassis.errors import DomainError
from chassis.idempotency import replay
from chassis.notifications import Notifier
from meno.content.v1.content_service_pb2 import GetContentRequest
from meno.session.v1.resources_pb2 import Session, SessionAction, SessionPhase
from session_service.errors import ActionNotAllowed, SessionNotFound, StateVersionStale
from session_service.sessions import messages, rules, store
from session_service.sessions.events import store as events
from session_service.sessions.messages import ACTIONS, MODES, PHASES
from session_service.sessions.types import NewSession, SessionRow

if TYPE_CHECKING:
    from meno.content.v1.content_service_pb2_grpc import ContentServiceAsyncStub


async def create_session(
    database: Database,
    activity: ActivityReporter,
    content: "ContentServiceAsyncStub",
    session: NewSession,
    quota: int,
) -> Session:
    """Creates a session. A session about a lesson gets the title of that lesson.

    Raises FieldInvalid if the content is not a lesson, AioRpcError if content_service does not return it, and
    QuotaExceeded if the user has created `quota` sessions in 24 hours.
    """
    try:
        title = await _get_lesson_title(content, session)
    except (DomainError, grpc.aio.AioRpcError):
        # A repeated request gets its first response, even if the lesson has changed or is gone.
        await replay(database)
        raise
    async with activity.write(session.user_id) as transaction:
        row = await store.add(transaction, session._replace(lesson_title=title), quota)
        return transaction.respond(messages.to_message(row))


async def apply_action(
    activity: ActivityReporter,
    notifier: Notifier,
    user_id: str,
    session_id: str,
    *,
    action: SessionAction.ValueType,
    state_version: int,
) -> Session:
    """Applies an action to a session and appends the event PHASE_CHANGED.

    Raises SessionNotFound, StateVersionStale if `state_version` is neither 0 nor current, and
    ActionNotAllowed if the phase of the session does not allow the action.
    """
    async with activity.write(user_id) as transaction:
        row = await store.get_for_update(transaction, user_id, session_id)
        if row is None:
            raise SessionNotFound(session_id)
        etags.check_version(state_version, row.state_version, StateVersionStale)
        phase = PHASES.name(_next_phase(row, action))
        event = rules.phase_changed_event(str(uuid.uuid4()), row.phase, phase, ACTIONS.name(action))
        await events.append(transaction, user_id, session_id, [event])
        session = transaction.respond(messages.to_message(await store.set_phase(transaction, row, phase)))
    notifier.notify(session_id)
    return session


async def _get_lesson_title(content: "ContentServiceAsyncStub", session: NewSession) -> str:
    if not session.content_id:
        return ""
    request = GetContentRequest(class_id=session.class_id or "", content_id=session.content_id)
    return rules.lesson_title(await content.GetContent(request, **peers.forwarded()))


def _next_phase(row: SessionRow, action: SessionAction.ValueType) -> SessionPhase.ValueType:
    mode, phase = MODES.value(row.mode), PHASES.value(row.phase)
    next_phase = rules.next_phase(mode, phase, action)
    if next_phase is None:
        raise ActionNotAllowed(row.phase, map(ACTIONS.name, rules.allowed_actions(mode, phase)))
    return next_phase
