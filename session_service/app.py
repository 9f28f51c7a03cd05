"""The composition root: settings → database → servicers → background work."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from chassis import authority, idempotency, peers
from chassis.bell import Bell
from chassis.database import Database
from chassis.interceptors import Guard
from chassis.server import App, Background, served
from chassis.tls import Identity
from meno.session.v1 import event_service_pb2 as events
from meno.session.v1 import event_service_pb2_grpc as events_grpc
from meno.session.v1 import session_service_pb2 as sessions
from meno.session.v1 import session_service_pb2_grpc as sessions_grpc
from session_service.events.servicer import EventServicer
from session_service.sessions.servicer import SessionServicer
from session_service.settings import Settings


@asynccontextmanager
async def compose(settings: Settings) -> AsyncIterator[App]:
    """Builds the service, guarded by identity_service; closes what it opened at the end."""
    secret = settings.secret.get_secret_value().encode()
    identity = Identity(settings.tls_directory)
    async with peers.channel(settings.identity_address, "identity_service", identity) as channel:
        guard, following = authority.follow(channel, secret)
        async with guarded(settings, guard, following) as app:
            yield app


@asynccontextmanager
async def guarded(
    settings: Settings, guard: Guard, following: Sequence[Background] = ()
) -> AsyncIterator[App]:
    """Builds the service behind a guard, which `following` keeps current."""
    database = Database(
        settings.database_url.get_secret_value(),
        max_connections=settings.max_connections,
        name="session_service",
    )
    identity = Identity(settings.tls_directory)
    await database.open()
    try:
        bell = Bell(database)
        async with peers.channel(settings.content_address, "content_service", identity) as content:
            yield App(
                services=[
                    served(sessions, sessions_grpc, SessionServicer(database, bell, content)),
                    served(events, events_grpc, EventServicer(database, bell)),
                ],
                guard=guard,
                background=[bell.run, *following, partial(idempotency.purge, database)],
            )
    finally:
        await database.close()
