"""The composition root: settings → database → servicers → background work."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

import grpc

from chassis import activity, identity_client, peers
from chassis.activity import ActivityReporter
from chassis.background import BackgroundTask, run_forever
from chassis.data_rights import DataRights
from chassis.database import Database
from chassis.identity_client import IdentityClient
from chassis.notifications import Notifier
from chassis.quotas import Quota
from chassis.registration import service
from chassis.server import App
from chassis.tls import TlsCredentials
from chat_service import content
from chat_service.answers.ask import AskService
from chat_service.answers.pool import WriterPool
from chat_service.answers.reader import AnswerReader
from chat_service.answers.reaper import expire_orphans
from chat_service.answers.servicer import AnswerServicer
from chat_service.answers.writer import Limits, WriterDependencies
from chat_service.chats.servicer import ChatServicer
from chat_service.content import Content
from chat_service.data_rights import RULES
from chat_service.settings import Settings
from chat_service.tutors import config
from chat_service.tutors.configured import ConfiguredTutor
from chat_service.tutors.language_model import LanguageModelTutor
from chat_service.tutors.types import Tutor
from meno.chat.v1 import chat_service_pb2 as chat
from meno.chat.v1 import data_rights_service_pb2 as data_rights
from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub


@asynccontextmanager
async def create_app(settings: Settings) -> AsyncIterator[App]:
    """Connects to the other services and builds the app. Closes everything at the end."""
    credentials = TlsCredentials(settings.tls_directory)
    async with (
        peers.channel(settings.identity_address, "identity_service", credentials) as identity_channel,
        peers.channel(settings.content_address, "content_service", credentials) as content_channel,
        AsyncExitStack() as stack,
    ):
        secret = settings.secret.get_secret_value().encode()
        handlers = {activity.KIND: activity.message_handler(identity_channel)}
        identity = identity_client.connect(identity_channel, secret, handlers)
        tutor, tasks = _create_tutor(settings, identity_channel, stack)
        app = build_app(identity, settings, tutor, content.connect(content_channel), tasks)
        yield await stack.enter_async_context(app)


@asynccontextmanager
async def build_app(
    identity: IdentityClient,
    settings: Settings,
    tutor: Tutor,
    content_client: Content,
    tutor_tasks: Sequence[BackgroundTask] = (),
) -> AsyncIterator[App]:
    """Builds the app on given clients and a given tutor, which tests replace.

    `tutor_tasks` are the background tasks of the tutor.
    """
    database = Database(
        settings.database_url.get_secret_value(),
        max_connections=settings.max_connections,
        name="chat_service",
    )
    await database.open()
    notifier = Notifier(database)
    lease = timedelta(seconds=settings.lease_seconds)
    limits = Limits(lease, settings.answer_seconds, settings.search_seconds)
    dependencies = WriterDependencies(database, notifier, tutor, content_client.search, limits)
    pool = WriterPool(
        dependencies, max_writers=settings.max_answers, max_guest_writers=settings.max_guest_answers
    )
    reader = AnswerReader(database, notifier, pool)
    max_in_progress = Quota(settings.max_answers_per_user, settings.max_answers_per_guest)
    ask = AskService(ActivityReporter(database), pool, lease, max_in_progress)
    handlers = {"user_erased": RULES.on_user_erased, "user_merged": RULES.on_user_merged}
    expire = partial(expire_orphans, database, notifier)
    per_day = Quota(settings.chats_per_day, settings.guest_chats_per_day)
    try:
        yield App(
            services=[
                service(
                    chat,
                    ChatServicer(database, content_client.get_content, per_day),
                    AnswerServicer(database, ask, reader, pool),
                ),
                service(data_rights, DataRights(database, RULES)),
            ],
            security=identity.security,
            background=[
                *identity.background_tasks(database, notifier, handlers),
                partial(
                    run_forever, expire, "answers_not_expired", interval=settings.reaper_interval_seconds
                ),
                *tutor_tasks,
            ],
        )
    finally:
        await pool.close(settings.finish_seconds)
        await database.close()


def _create_tutor(
    settings: Settings, identity_channel: grpc.aio.Channel, stack: AsyncExitStack
) -> tuple[Tutor, Sequence[BackgroundTask]]:
    """Returns the tutor and its background tasks."""
    if settings.tutor == "configured":
        resolve = AdminServiceStub(identity_channel).ResolveModel
        configured = ConfiguredTutor(resolve, partial(config.from_model, settings=settings))
        stack.push_async_callback(configured.close)
        return configured, [configured.keep_current]
    tutor = config.from_settings(settings).create()
    if isinstance(tutor, LanguageModelTutor):
        stack.push_async_callback(tutor.close)
    return tutor, []
