"""Runs session_service on a separate database for each test."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest_asyncio

from chassis.testing import MAX_CONNECTIONS, RunningService, TestEnvironment, bearer, read_pages
from meno.session.v1.data_rights_service_pb2_grpc import DataRightsServiceStub
from meno.session.v1.event_service_pb2 import AppendEventsRequest, ListEventsRequest, WatchEventsRequest
from meno.session.v1.event_service_pb2_grpc import EventServiceStub
from meno.session.v1.resources_pb2 import (
    EVENT_KIND_PRESENT,
    SESSION_MODE_CLARIFY_DOUBTS,
    Event,
    Session,
    SessionAction,
    SessionMode,
)
from meno.session.v1.session_service_pb2 import ApplyActionRequest, CreateSessionRequest
from meno.session.v1.session_service_pb2_grpc import SessionServiceStub
from session_service.app import build_app
from session_service.settings import Settings

UNREACHABLE = "127.0.0.1:1"
"""An address at which no content_service listens."""


@dataclass(frozen=True)
class Learner:
    """A signed-in learner."""

    user_id: str
    auth: dict[str, Any]
    """Call arguments with the access token of the learner."""


class Service:
    """Stubs of one running process, and calls that tests repeat."""

    def __init__(self, env: TestEnvironment, served: RunningService, database_url: str) -> None:
        self.env = env
        self.database_url = database_url
        self.sessions = SessionServiceStub(served.channel())
        self.events = EventServiceStub(served.channel())
        self.data_rights = DataRightsServiceStub(served.channel())

    def learner(self, **claims: Any) -> Learner:
        user_id = str(uuid.uuid4())
        return Learner(user_id, bearer(self.env.issuer.token(user_id, **claims)))

    async def create(
        self, learner: Learner, mode: SessionMode.ValueType = SESSION_MODE_CLARIFY_DOUBTS
    ) -> Session:
        request = CreateSessionRequest(user_id="me", mode=mode)
        return await self.sessions.CreateSession(request, **learner.auth)

    async def apply(self, learner: Learner, session: Session, *actions: SessionAction.ValueType) -> Session:
        for action in actions:
            request = ApplyActionRequest(user_id="me", session_id=session.session_id, action=action)
            session = await self.sessions.ApplyAction(request, **learner.auth)
        return session

    async def append(self, learner: Learner, session: Session, events: Iterable[Event]) -> list[Event]:
        request = AppendEventsRequest(user_id="me", session_id=session.session_id, events=events)
        return [*(await self.events.AppendEvents(request, **learner.auth)).events]

    async def history(self, learner: Learner, session: Session, page_size: int = 0) -> list[Event]:
        request = ListEventsRequest(user_id="me", session_id=session.session_id, page_size=page_size)
        pages = read_pages(self.events.ListEvents, request, **learner.auth)
        return [event async for page in pages for event in page.events]

    def watch(self, learner: Learner, session: Session, after_sequence: int = 0) -> Any:
        request = WatchEventsRequest(
            user_id="me", session_id=session.session_id, after_sequence=after_sequence
        )
        return self.events.WatchEvents(request, **learner.auth)

    async def delete(self, session: Session) -> None:
        """Deletes a session in the database and notifies, because no RPC deletes sessions yet."""
        async with await psycopg.AsyncConnection.connect(self.database_url) as connection:
            await connection.execute(
                "UPDATE sessions SET deleted_at = now(), deleted_by_user_id = user_id"
                " WHERE user_id = %s AND session_id = %s",
                [session.user_id, session.session_id],
            )
            await connection.execute(
                "SELECT pg_notify('meno_notify', %s)", [f"elsewhere {session.session_id}"]
            )


def event(**fields: Any) -> Event:
    """Returns an event with a new client_event_id."""
    return Event(**{"client_event_id": str(uuid.uuid4()), "kind": EVENT_KIND_PRESENT, **fields})


@asynccontextmanager
async def serving(env: TestEnvironment, database_url: str, **changed: Any) -> AsyncIterator[Service]:
    """Runs one process of the service with changed settings; several may share a database."""
    settings = Settings(
        database_url=database_url,
        max_connections=MAX_CONNECTIONS,
        secret="a secret of this test, long enough",
        tls_directory=env.credentials("session_service").directory,
        content_address=UNREACHABLE,
        **changed,
    )
    async with (
        env.identity_client() as identity,
        build_app(identity, settings) as app,
        env.serve(app, "session_service") as served,
    ):
        yield Service(env, served, database_url)


@pytest_asyncio.fixture
async def service(env: TestEnvironment, new_database: Callable[[str], str]) -> AsyncIterator[Service]:
    async with serving(env, new_database("session_service")) as running:
        yield running
