"""SessionService."""

from typing import TYPE_CHECKING

from chassis import paging
from chassis.activity import ActivityReporter
from chassis.calls import Context
from chassis.database import Database
from chassis.notifications import Notifier
from chassis.quotas import Quota
from meno.session.v1.resources_pb2 import SESSION_MODE_TEACH_ME, Session
from meno.session.v1.session_service_pb2 import (
    ApplyActionRequest,
    CreateSessionRequest,
    GetSessionRequest,
    ListSessionsRequest,
    ListSessionsResponse,
)
from meno.session.v1.session_service_pb2_grpc import SessionServiceServicer
from session_service.errors import SessionNotFound
from session_service.sessions import commands, messages, store
from session_service.sessions.types import NewSession

if TYPE_CHECKING:
    from meno.content.v1.content_service_pb2_grpc import ContentServiceAsyncStub


class SessionServicer(SessionServiceServicer):
    """Serves study sessions."""

    def __init__(
        self,
        database: Database,
        notifier: Notifier,
        content: "ContentServiceAsyncStub",
        activity: ActivityReporter,
        per_day: Quota,
    ) -> None:
        """`per_day` limits the number of sessions that a user creates in 24 hours."""
        self._database = database
        self._notifier = notifier
        self._content = content
        self._activity = activity
        self._per_day = per_day

    async def CreateSession(self, request: CreateSessionRequest, context: Context) -> Session:
        session = NewSession(
            user_id=request.user_id,
            mode=messages.MODES.name(request.mode or SESSION_MODE_TEACH_ME),
            goal=_goal(request),
            class_id=request.class_id or None,
            content_id=request.content_id or None,
            lesson_title="",
        )
        return await commands.create_session(
            self._database, self._activity, self._content, session, self._per_day.of_caller()
        )

    async def GetSession(self, request: GetSessionRequest, context: Context) -> Session:
        row = await store.get(self._database, request.user_id, request.session_id)
        if row is None:
            raise SessionNotFound(request.session_id)
        return messages.to_message(row)

    async def ListSessions(self, request: ListSessionsRequest, context: Context) -> ListSessionsResponse:
        (before_id,) = paging.decode_page_token(request, (paging.MAX_UUID,))
        limit = paging.size(request) + 1
        rows = await store.list_by_user(self._database, request.user_id, before_id, limit)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.session_id,))
        return ListSessionsResponse(
            sessions=[messages.to_message(row) for row in rows], next_page_token=next_page_token
        )

    async def ApplyAction(self, request: ApplyActionRequest, context: Context) -> Session:
        return await commands.apply_action(
            self._activity,
            self._notifier,
            request.user_id,
            request.session_id,
            action=request.action,
            state_version=request.state_version,
        )


def _goal(request: CreateSessionRequest) -> dict[str, str] | None:
    if not request.HasField("goal"):
        return None
    return {"text": request.goal.text, "exam_type": request.goal.exam_type}
