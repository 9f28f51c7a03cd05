"""Writes to study sessions."""

from typing import Any

from meno.session.v1.event_service_pb2 import AppendEventsRequest, ListEventsRequest
from meno.session.v1.resources_pb2 import Event, EventKind, Session, SessionAction
from meno.session.v1.session_service_pb2 import ApplyActionRequest, CreateSessionRequest, ListSessionsRequest
from tests.end_to_end.writes.case import Cases
from tests.installation import Installation, new_id
from tests.people import Person

CASES = Cases()


@CASES.of("CreateSession")
async def _create_session(installation: Installation) -> Any:
    student = await installation.sign_up_student()

    async def count() -> int:
        listed = await student.sessions.ListSessions(ListSessionsRequest(user_id="me"), **student.auth)
        return len(listed.sessions)

    return (student.sessions.CreateSession, CreateSessionRequest(user_id="me"), student), count


async def _new_session(student: Person) -> Session:
    return await student.sessions.CreateSession(CreateSessionRequest(user_id="me"), **student.auth)


@CASES.of("ApplyAction")
async def _apply(installation: Installation) -> Any:
    student = await installation.sign_up_student()
    session = await _new_session(student)
    request = ApplyActionRequest(
        user_id="me",
        session_id=session.session_id,
        action=SessionAction.SESSION_ACTION_GENERATE_PLAN,
        state_version=1,
    )
    return (student.sessions.ApplyAction, request, student), None


@CASES.of("AppendEvents")
async def _append(installation: Installation) -> Any:
    student = await installation.sign_up_student()
    session = await _new_session(student)

    async def count() -> int:
        request = ListEventsRequest(user_id="me", session_id=session.session_id)
        return len((await student.events.ListEvents(request, **student.auth)).events)

    event = Event(client_event_id=new_id(), kind=EventKind.EVENT_KIND_CHECK)
    request = AppendEventsRequest(user_id="me", session_id=session.session_id, events=[event])
    return (student.events.AppendEvents, request, student), count
