"""The composition root: settings → database → servicers → background work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from procrastinate import App as Queue

from chassis import authority, jobs, peers
from chassis.authority import Authority
from chassis.bell import Bell
from chassis.data_rights import DataRights
from chassis.database import Database
from chassis.models.embeddings import Embedder, MiniLM, OpenAICompatible
from chassis.server import App, Background, served
from chassis.tls import Identity
from content_service.authoring.servicer import ContentServicer
from content_service.data_rights import RULES
from content_service.knowledge.servicer import KnowledgeServicer
from content_service.materials.files import Files
from content_service.materials.ingestion.extraction_process import Bounds
from content_service.materials.ingestion.pipeline import Pipeline
from content_service.materials.ingestion.queue import Process, process_task
from content_service.materials.ingestion.rules import Limits
from content_service.materials.servicer import MaterialServicer
from content_service.purging.commands import Purging
from content_service.settings import Settings
from meno.content.v1 import content_service_pb2 as contents
from meno.content.v1 import content_service_pb2_grpc as contents_grpc
from meno.content.v1 import data_rights_service_pb2 as data_rights
from meno.content.v1 import data_rights_service_pb2_grpc as data_rights_grpc
from meno.content.v1 import knowledge_service_pb2 as knowledge
from meno.content.v1 import knowledge_service_pb2_grpc as knowledge_grpc
from meno.content.v1 import material_service_pb2 as materials
from meno.content.v1 import material_service_pb2_grpc as materials_grpc


@dataclass(frozen=True)
class Parts:
    """What the servicers and the worker stand on."""

    database: Database
    bell: Bell
    files: Files
    embedder: Embedder
    pipeline: Pipeline
    queue: Queue
    process: Process


@asynccontextmanager
async def compose(settings: Settings) -> AsyncIterator[App]:
    """Builds the service; closes what it opened at the end."""
    identity = Identity(settings.tls_directory)
    channel = peers.channel(settings.identity_address, "identity_service", identity)
    above = authority.behind(channel, settings.secret.get_secret_value().encode())
    embedder = embedder_of(settings)
    try:
        async with parts(settings, embedder) as opened:
            yield under(above, settings, opened)
    finally:
        await embedder.close()
        await channel.close()


async def work(settings: Settings) -> None:
    """Processes materials and does nothing else, for ever."""
    embedder = embedder_of(settings)
    try:
        async with parts(settings, embedder) as opened, asyncio.TaskGroup() as tasks:
            tasks.create_task(opened.bell.run())
            tasks.create_task(_worker(settings, opened)())
    finally:
        await embedder.close()


@asynccontextmanager
async def parts(settings: Settings, embedder: Embedder) -> AsyncIterator[Parts]:
    """Opens what the service stands on, and closes at the end what it opened."""
    url = settings.database_url.get_secret_value()
    database = Database(url, max_connections=settings.max_connections, name="content_service")
    await database.open()
    bell = Bell(database)
    files = Files(settings.storage_url, settings.max_file_bytes)
    limits = Limits(settings.max_text_characters, settings.max_pages)
    bounds = Bounds(limits, settings.extraction_seconds, settings.extraction_bytes)
    pipeline = Pipeline(database, bell, files, embedder, bounds)
    queue = jobs.queue(url)
    try:
        yield Parts(database, bell, files, embedder, pipeline, queue, process_task(queue, pipeline))
    finally:
        pipeline.close()
        await database.close()


def under(above: Authority, settings: Settings, parts: Parts) -> App:
    """Builds the service itself of these parts, whoever issues the tokens."""
    worker = [_worker(settings, parts)] if settings.run_worker else []
    purging = Purging(parts.files)
    lasting = {"user_erased": RULES.erased, "class_changed": purging.class_changed}
    return App(
        services=[
            served(contents, contents_grpc, ContentServicer(parts.database)),
            served(
                materials,
                materials_grpc,
                MaterialServicer(parts.database, parts.bell, parts.files, parts.process),
            ),
            served(knowledge, knowledge_grpc, KnowledgeServicer(parts.database, parts.embedder)),
            served(data_rights, data_rights_grpc, DataRights(parts.database, RULES)),
        ],
        guard=above.guard,
        background=[*above.background(parts.database, parts.bell, lasting), *worker],
    )


def embedder_of(settings: Settings) -> Embedder:
    """The embedder that the settings ask for."""
    if settings.embedder == "openai":
        return OpenAICompatible(
            base_url=settings.embedding_base_url,
            model=settings.embedding_model,
            dimension=settings.embedding_dimension,
            key=settings.key("embedding_key") or "none",
        )
    return MiniLM(settings.model_cache.expanduser(), threads=settings.embedding_threads)


def _worker(settings: Settings, parts: Parts) -> Background:
    return partial(
        jobs.work,
        parts.queue,
        concurrency=settings.worker_concurrency,
        stalled_after=settings.stalled_after,
    )
