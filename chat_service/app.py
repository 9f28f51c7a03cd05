"""The composition root: settings → database → servicers → background work."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

import grpc

from chassis import authority, peers
from chassis.authority import Authority
from chassis.bell import Bell
from chassis.data_rights import DataRights
from chassis.database import Database
from chassis.models.openai_compatible import OpenAITutor
from chassis.models.tutors import Tutor
from chassis.server import App, Background, served
from chassis.tls import Identity
from chat_service import activity, content
from chat_service.activity import Activity
from chat_service.answers.asking import Asking
from chat_service.answers.stream import Streams
from chat_service.answers.sweep import sweep
from chat_service.answers.writer import Desk, Limits
from chat_service.answers.writing import Writing
from chat_service.chats.servicer import ChatServicer
from chat_service.content import Content
from chat_service.data_rights import RULES
from chat_service.settings import Settings
from chat_service.tutors import blueprints
from chat_service.tutors.configured import ConfiguredTutor
from meno.chat.v1 import chat_service_pb2 as chat
from meno.chat.v1 import chat_service_pb2_grpc as chat_grpc
from meno.chat.v1 import data_rights_service_pb2 as data_rights
from meno.chat.v1 import data_rights_service_pb2_grpc as data_rights_grpc
from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub


@asynccontextmanager
async def compose(settings: Settings) -> AsyncIterator[App]:
    """Builds the service among its peers; closes what it opened at the end."""
    identity = Identity(settings.tls_directory)
    async with (
        peers.channel(settings.identity_address, "identity_service", identity) as issuer,
        peers.channel(settings.content_address, "content_service", identity) as library,
        AsyncExitStack() as opened,
    ):
        secret = settings.secret.get_secret_value().encode()
        above = authority.behind(issuer, secret, {activity.KIND: activity.deliver(issuer)})
        tutor, work = _tutor(settings, issuer, opened)
        yield await opened.enter_async_context(under(above, settings, tutor, content.behind(library), work))


@asynccontextmanager
async def under(
    above: Authority, settings: Settings, tutor: Tutor, library: Content, work: Sequence[Background] = ()
) -> AsyncIterator[App]:
    """Builds the service itself, whoever issues the tokens, answers and finds the material.

    `work` is what the tutor needs done meanwhile.
    """
    database = Database(
        settings.database_url.get_secret_value(),
        max_connections=settings.max_connections,
        name="chat_service",
    )
    await database.open()
    bell = Bell(database)
    lease = timedelta(seconds=settings.lease_seconds)
    limits = Limits(lease, settings.answer_seconds, settings.search_seconds)
    writing = Writing(Desk(database, bell, tutor, library.search, limits), settings.max_answers)
    servicer = ChatServicer(
        database,
        library.get_content,
        Asking(Activity(database), writing, lease),
        Streams(database, bell, writing),
        writing,
    )
    lasting = {"user_erased": RULES.erased, "user_merged": RULES.merged}
    try:
        yield App(
            services=[
                served(chat, chat_grpc, servicer),
                served(data_rights, data_rights_grpc, DataRights(database, RULES)),
            ],
            guard=above.guard,
            background=[
                *above.background(database, bell, lasting),
                partial(sweep, database, bell, settings.sweep_seconds),
                *work,
            ],
        )
    finally:
        await writing.close(settings.finish_seconds)
        await database.close()


def _tutor(
    settings: Settings, issuer: grpc.aio.Channel, opened: AsyncExitStack
) -> tuple[Tutor, Sequence[Background]]:
    """The tutor that answers, and the work that keeps it current."""
    if settings.tutor == "configured":
        chosen = ConfiguredTutor(
            AdminServiceStub(issuer).ResolveModel, partial(blueprints.of_model, settings=settings)
        )
        opened.push_async_callback(chosen.close)
        return chosen, [chosen.keep_current]
    tutor = blueprints.of_settings(settings).make()
    if isinstance(tutor, OpenAITutor):
        opened.push_async_callback(tutor.close)
    return tutor, []
