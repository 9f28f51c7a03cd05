"""The composition root: settings → database → servicers → background work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis import activity, identity_client, peers
from chassis.activity import ActivityReporter
from chassis.data_rights import DataRights
from chassis.database import Database
from chassis.identity_client import IdentityClient
from chassis.notifications import Notifier
from chassis.quotas import Quota
from chassis.registration import service
from chassis.server import App
from chassis.tls import TlsCredentials
from meno.content.v1.content_service_pb2_grpc import ContentServiceStub
from meno.session.v1 import data_rights_service_pb2 as data_rights
from meno.session.v1 import event_service_pb2 as events
from meno.session.v1 import session_service_pb2 as sessions
from session_service.data_rights import RULES
from session_service.sessions.events.servicer import EventServicer
from session_service.sessions.servicer import SessionServicer
from session_service.settings import Settings


@asynccontextmanager
async def create_app(settings: Settings) -> AsyncIterator[App]:
    """Connects to identity_service and builds the app. Closes everything at the end."""
    secret = settings.secret.get_secret_value().encode()
    credentials = TlsCredentials(settings.tls_directory)
    async with peers.channel(settings.identity_address, "identity_service", credentials) as channel:
        identity = identity_client.connect(
            channel, secret, {activity.KIND: activity.message_handler(channel)}
        )
        async with build_app(identity, settings) as app:
            yield app


@asynccontextmanager
async def build_app(identity: IdentityClient, settings: Settings) -> AsyncIterator[App]:
    """Builds the app on a given identity client, which tests replace."""
    database = Database(
        settings.database_url.get_secret_value(),
        max_connections=settings.max_connections,
        name="session_service",
    )
    credentials = TlsCredentials(settings.tls_directory)
    await database.open()
    try:
        notifier = Notifier(database)
        reporter = ActivityReporter(database)
        handlers = {"user_erased": RULES.on_user_erased, "user_merged": RULES.on_user_merged}
        async with peers.channel(settings.content_address, "content_service", credentials) as channel:
            per_day = Quota(settings.sessions_per_day, settings.guest_sessions_per_day)
            max_bytes = Quota(settings.session_bytes, settings.guest_session_bytes)
            session_servicer = SessionServicer(
                database, notifier, ContentServiceStub(channel), reporter, per_day
            )
            yield App(
                services=[
                    service(sessions, session_servicer),
                    service(events, EventServicer(database, notifier, max_bytes)),
                    service(data_rights, DataRights(database, RULES)),
                ],
                security=identity.security,
                background=identity.background_tasks(database, notifier, handlers),
            )
    finally:
        await database.close()
