"""The composition root: settings → database → servicers → background work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis import authority, peers
from chassis.authority import Authority
from chassis.bell import Bell
from chassis.data_rights import DataRights
from chassis.database import Database
from chassis.server import App, served
from chassis.tls import Identity
from meno.session.v1 import data_rights_service_pb2 as data_rights
from meno.session.v1 import data_rights_service_pb2_grpc as data_rights_grpc
from meno.session.v1 import event_service_pb2 as events
from meno.session.v1 import event_service_pb2_grpc as events_grpc
from meno.session.v1 import session_service_pb2 as sessions
from meno.session.v1 import session_service_pb2_grpc as sessions_grpc
from session_service import activity
from session_service.activity import Activity
from session_service.data_rights import RULES
from session_service.events.servicer import EventServicer
from session_service.sessions.servicer import SessionServicer
from session_service.settings import Settings


@asynccontextmanager
async def compose(settings: Settings) -> AsyncIterator[App]:
    """Builds the service under identity_service; closes what it opened at the end."""
    secret = settings.secret.get_secret_value().encode()
    identity = Identity(settings.tls_directory)
    async with (
        peers.channel(settings.identity_address, "identity_service", identity) as channel,
        under(authority.behind(channel, secret, {activity.KIND: activity.deliver(channel)}), settings) as app,
    ):
        yield app


@asynccontextmanager
async def under(above: Authority, settings: Settings) -> AsyncIterator[App]:
    """Builds the service itself, whoever issues the tokens."""
    database = Database(
        settings.database_url.get_secret_value(),
        max_connections=settings.max_connections,
        name="session_service",
    )
    identity = Identity(settings.tls_directory)
    await database.open()
    try:
        bell = Bell(database)
        lasting = {"user_erased": RULES.erased, "user_merged": RULES.merged}
        async with peers.channel(settings.content_address, "content_service", identity) as content:
            yield App(
                services=[
                    served(
                        sessions, sessions_grpc, SessionServicer(database, bell, content, Activity(database))
                    ),
                    served(events, events_grpc, EventServicer(database, bell)),
                    served(data_rights, data_rights_grpc, DataRights(database, RULES)),
                ],
                guard=above.guard,
                background=above.background(database, bell, lasting),
            )
    finally:
        await database.close()
