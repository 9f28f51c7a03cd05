"""Fixtures: content_service on a test database and a test directory."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from chassis.testing import (
    MAX_CONNECTIONS,
    Postgres,
    RunningService,
    TestEnvironment,
    bearer,
    execute_sql,
    read_pages,
)
from content_service.app import Components, build_app, open_components
from content_service.knowledge.embeddings import Embedder
from content_service.knowledge.minilm import MiniLM
from content_service.settings import Settings
from meno.content.v1.content_service_pb2 import (
    CreateContentRequest,
    ListDraftsRequest,
    PublishContentRequest,
    UnpublishContentRequest,
)
from meno.content.v1.content_service_pb2_grpc import ContentServiceStub
from meno.content.v1.knowledge_service_pb2 import SearchRequest
from meno.content.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    UploadMaterialRequest,
    WatchMaterialRequest,
)
from meno.content.v1.material_service_pb2_grpc import MaterialServiceStub
from meno.content.v1.resources_pb2 import Chunk, Content, ContentBody, Material

SECRET = "a secret of at least 32 characters"
PIECE = 64 * 1024
MAX_FILE_BYTES = 2**20
MAX_CHARACTERS = 50_000
MAX_PAGES = 5

PHOTOSYNTHESIS = """# Plants

## Photosynthesis

Photosynthesis is how plants turn light into sugar. Chlorophyll in the leaves absorbs light, and
with its energy water and carbon dioxide become glucose and oxygen.
"""
VOLCANOES = """# Earth

## Volcanoes

A volcano erupts when magma rises through the crust. Lava cools into igneous rock such as basalt.
"""


@dataclass
class Person:
    """A user with a role in a class."""

    user_id: str
    class_id: str
    auth: dict[str, Any]
    """The arguments that authenticate a call."""


class ContentService:
    """The stubs of a running service, with helpers for tests."""

    def __init__(
        self, env: TestEnvironment, served: RunningService, components: Components, settings: Settings
    ) -> None:
        self.env = env
        self.components = components
        self.settings = settings
        self.database_url = components.database.url
        channel = served.channel()
        self.contents = ContentServiceStub(channel)
        self.materials = MaterialServiceStub(channel)
        self.knowledge = KnowledgeServiceStub(channel)

    def teacher(self, class_id: str | None = None, user_id: str | None = None) -> Person:
        return self._person(class_id or str(uuid.uuid4()), "TEACHER", user_id)

    def student(self, class_id: str) -> Person:
        return self._person(class_id, "STUDENT")

    def files(self, class_id: str) -> list[Path]:
        """Returns the stored files of a class, incomplete uploads included."""
        directory = Path(self.settings.storage_url.removeprefix("file://"))
        return [path for path in (directory / class_id).rglob("*") if path.is_file()]

    async def create(
        self, teacher: Person, body: ContentBody, title: str = "Something", parent_id: str = ""
    ) -> Content:
        request = CreateContentRequest(class_id=teacher.class_id, parent_id=parent_id, title=title, body=body)
        return await self.contents.CreateContent(request, **teacher.auth)

    async def module(self, teacher: Person, title: str = "A module") -> Content:
        return await self.create(teacher, ContentBody(module=ContentBody.Module(summary="About it.")), title)

    async def lesson(self, teacher: Person, title: str = "A lesson", parent_id: str = "") -> Content:
        return await self.create(
            teacher, ContentBody(lesson=ContentBody.Lesson(text="Read this.")), title, parent_id
        )

    async def drafts(self, teacher: Person, page_size: int = 0) -> list[Content]:
        """Returns the latest revisions of all contents of a class, read page by page."""
        request = ListDraftsRequest(class_id=teacher.class_id, page_size=page_size)
        pages = read_pages(self.contents.ListDrafts, request, **teacher.auth)
        return [content async for page in pages for content in page.contents]

    def delete(self, class_id: str, content_id: str) -> None:
        """Deletes a content directly in the database, because no RPC does."""
        execute_sql(
            self.database_url,
            "UPDATE contents SET deleted_at = now(), deleted_by_user_id = created_by_user_id"
            " WHERE scope_id = %s AND content_id = %s",
            *(class_id, content_id),
        )

    async def publish(self, teacher: Person, content_id: str, **values: str) -> Content:
        request = PublishContentRequest(class_id=teacher.class_id, content_id=content_id, **values)
        return await self.contents.PublishContent(request, **teacher.auth)

    async def unpublish(self, teacher: Person, content_id: str) -> Content:
        request = UnpublishContentRequest(class_id=teacher.class_id, content_id=content_id)
        return await self.contents.UnpublishContent(request, **teacher.auth)

    async def upload(
        self, teacher: Person, data: bytes | str, file_name: str = "notes.md", **values: str
    ) -> Material:
        return await self.materials.UploadMaterial(
            pieces(teacher.class_id, data, file_name, **values), **teacher.auth
        )

    async def upload_and_process(
        self, teacher: Person, data: bytes | str, file_name: str = "notes.md"
    ) -> Material:
        """Uploads a file and waits until it is READY or FAILED."""
        uploaded = await self.upload(teacher, data, file_name)
        return await self.wait_until_processed(teacher, uploaded.material_id)

    async def wait_until_processed(self, teacher: Person, material_id: str) -> Material:
        """Waits until a material is READY or FAILED."""
        request = WatchMaterialRequest(class_id=teacher.class_id, material_id=material_id)
        steps = [step async for step in self.materials.WatchMaterial(request, **teacher.auth)]
        assert steps[-1].HasField("done")
        return steps[-1].done

    async def attach(self, teacher: Person, content_id: str, material_id: str) -> Content:
        request = AttachMaterialRequest(
            class_id=teacher.class_id, content_id=content_id, material_id=material_id
        )
        return await self.materials.AttachMaterial(request, **teacher.auth)

    async def published_material(
        self, teacher: Person, data: bytes | str, content_id: str, file_name: str = "notes.md"
    ) -> Material:
        """Creates a material that is ready, published, and attached to a published content."""
        ready = await self.upload_and_process(teacher, data, file_name)
        await self.publish(teacher, ready.material_id)
        await self.attach(teacher, content_id, ready.material_id)
        await self.publish(teacher, content_id)
        return ready

    async def search(self, person: Person, query: str, **values: Any) -> list[Chunk]:
        request = SearchRequest(class_id=person.class_id, query=query, **values)
        return [*(await self.knowledge.Search(request, **person.auth)).chunks]

    def _person(self, class_id: str, role: str, user_id: str | None = None) -> Person:
        user_id = user_id or str(uuid.uuid4())
        token = self.env.issuer.token(user_id, role=role, classes={class_id: role})
        return Person(user_id, class_id, bearer(token))


async def pieces(
    class_id: str, data: bytes | str, file_name: str = "notes.md", content_type: str = "", **values: str
) -> AsyncIterator[UploadMaterialRequest]:
    """Yields the messages of an upload."""
    data = data.encode() if isinstance(data, str) else data
    first = UploadMaterialRequest(class_id=class_id, file_name=file_name, **values)
    first.file.content_type = content_type
    first.file.data = data[:PIECE]
    yield first
    for start in range(PIECE, len(data), PIECE):
        message = UploadMaterialRequest()
        message.file.data = data[start : start + PIECE]
        yield message


def titles(contents: Sequence[Content]) -> list[str]:
    return [content.title for content in contents]


@asynccontextmanager
async def serve(
    env: TestEnvironment, settings: Settings, embedder: Embedder
) -> AsyncIterator[ContentService]:
    """Serves the service. Several services can share a database."""
    async with (
        env.identity_client() as identity,
        open_components(settings, embedder) as components,
        env.serve(build_app(identity, settings, components), "content_service") as served,
    ):
        yield ContentService(env, served, components, settings)


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest_asyncio.fixture(scope="session")
async def embedder(model_cache: Path) -> AsyncIterator[MiniLM]:
    embedder = MiniLM(model_cache)
    yield embedder
    await embedder.close()


@pytest_asyncio.fixture(scope="session")
async def content(
    postgres: Postgres, embedder: MiniLM, model_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ContentService]:
    """One service for all tests. Each test creates its own classes."""
    directory = tmp_path_factory.mktemp("content")
    settings = create_settings(postgres.create("content_service"), directory, model_cache)
    async with serve(TestEnvironment(directory), settings, embedder) as running:
        await wait_for_worker(running.database_url)
        yield running


async def wait_for_worker(database_url: str) -> None:
    """Returns when a worker listens for jobs. An earlier job waits for the next poll of the worker."""
    async with (
        asyncio.timeout(60),
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection,
    ):
        listens = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%any_queue%'"
        while not (await connection.execute(listens)).rowcount:
            await connection.execute("SELECT pg_sleep(0.01)")


@pytest.fixture
def settings(new_database: Callable[[str], str], tmp_path: Path, model_cache: Path) -> Settings:
    """The settings of a service for one test, without a worker."""
    settings = create_settings(new_database("content_service"), tmp_path, model_cache)
    return settings.model_copy(update={"run_worker": False})


@pytest_asyncio.fixture
async def isolated(
    env: TestEnvironment, settings: Settings, embedder: MiniLM
) -> AsyncIterator[ContentService]:
    """A service with its own database and without a worker."""
    async with serve(env, settings, embedder) as running:
        yield running


def create_settings(database_url: str, directory: Path, model_cache: Path) -> Settings:
    """Returns settings with limits that small files exceed."""
    return Settings(
        database_url=database_url,
        max_connections=MAX_CONNECTIONS,
        secret=SECRET,
        tls_directory=directory,
        storage_url=f"file://{directory}/files",
        max_file_bytes=MAX_FILE_BYTES,
        max_text_characters=MAX_CHARACTERS,
        max_pages=MAX_PAGES,
        stalled_after=0.5,
        worker_concurrency=2,
        model_cache=model_cache,
    )
