"""The composition root: settings → database → servicers → background work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from procrastinate import App as Queue

from chassis import identity_client, jobs, peers
from chassis.data_rights import DataRights
from chassis.database import Database
from chassis.identity_client import IdentityClient
from chassis.notifications import Notifier
from chassis.registration import service
from chassis.server import App
from chassis.tls import TlsCredentials
from content_service.authoring.servicer import ContentServicer
from content_service.data_rights import RULES
from content_service.knowledge.embeddings import Embedder, OpenAIEmbedder
from content_service.knowledge.minilm import MiniLM
from content_service.knowledge.servicer import KnowledgeServicer
from content_service.materials.files import FileStore
from content_service.materials.ingestion.pipeline import Pipeline
from content_service.materials.ingestion.queue import ProcessTask, register_process_task
from content_service.materials.ingestion.types import ExtractionLimits, TextLimits
from content_service.materials.servicer import MaterialServicer
from content_service.purging.commands import ClassPurger
from content_service.settings import Settings
from meno.content.v1 import (
    content_service_pb2,
    data_rights_service_pb2,
    knowledge_service_pb2,
    material_service_pb2,
)


@dataclass(frozen=True)
class Components:
    """The components that the servicers and the worker share."""

    database: Database
    notifier: Notifier
    files: FileStore
    embedder: Embedder
    pipeline: Pipeline
    queue: Queue
    process_task: ProcessTask


@asynccontextmanager
async def create_app(settings: Settings) -> AsyncIterator[App]:
    """Connects to identity_service and builds the app. Closes everything at the end."""
    credentials = TlsCredentials(settings.tls_directory)
    channel = peers.channel(settings.identity_address, "identity_service", credentials)
    identity = identity_client.connect(channel, settings.secret.get_secret_value().encode())
    embedder = create_embedder(settings)
    try:
        async with open_components(settings, embedder) as components:
            yield build_app(identity, settings, components)
    finally:
        await embedder.close()
        await channel.close()


async def run_worker(settings: Settings) -> None:
    """Processes materials until it is cancelled, without serving RPCs."""
    embedder = create_embedder(settings)
    try:
        async with open_components(settings, embedder) as components, asyncio.TaskGroup() as tasks:
            tasks.create_task(components.notifier.run())
            tasks.create_task(_run_jobs(settings, components))
    finally:
        await embedder.close()


@asynccontextmanager
async def open_components(settings: Settings, embedder: Embedder) -> AsyncIterator[Components]:
    """Opens the components and closes them at the end. The caller closes the embedder."""
    url = settings.database_url.get_secret_value()
    database = Database(url, max_connections=settings.max_connections, name="content_service")
    await database.open()
    notifier = Notifier(database)
    files = FileStore(settings.storage_url, settings.max_file_bytes)
    text_limits = TextLimits(settings.max_text_characters, settings.max_pages)
    limits = ExtractionLimits(text_limits, settings.extraction_seconds, settings.extraction_bytes)
    pipeline = Pipeline(database, files, embedder, limits)
    queue = jobs.queue(url)
    task = register_process_task(queue, pipeline)
    try:
        yield Components(database, notifier, files, embedder, pipeline, queue, task)
    finally:
        pipeline.close()
        await database.close()


def build_app(identity: IdentityClient, settings: Settings, components: Components) -> App:
    """Builds the app on a given identity client, which tests replace."""
    database, notifier, files = components.database, components.notifier, components.files
    worker = [partial(_run_jobs, settings, components)] if settings.run_worker else []
    handlers = {
        "user_erased": RULES.on_user_erased,
        "class_changed": ClassPurger(files).on_class_changed,
    }
    material_servicer = MaterialServicer(
        database,
        notifier,
        files,
        components.process_task,
        max_bytes_per_day=settings.class_upload_bytes_per_day,
    )
    return App(
        services=[
            service(content_service_pb2, ContentServicer(database)),
            service(material_service_pb2, material_servicer),
            service(knowledge_service_pb2, KnowledgeServicer(database, components.embedder)),
            service(data_rights_service_pb2, DataRights(database, RULES)),
        ],
        security=identity.security,
        background=[*identity.background_tasks(database, notifier, handlers), *worker],
    )


def create_embedder(settings: Settings) -> Embedder:
    """Returns the configured embedder."""
    if settings.embedder == "openai":
        return OpenAIEmbedder(
            base_url=settings.embedding_base_url,
            model=settings.embedding_model,
            dimension=settings.embedding_dimension,
            key=settings.key("embedding_key") or "none",
        )
    return MiniLM(settings.model_cache.expanduser(), threads=settings.embedding_threads)


async def _run_jobs(settings: Settings, components: Components) -> None:
    await jobs.work(
        components.queue, concurrency=settings.worker_concurrency, stalled_after=settings.stalled_after
    )
