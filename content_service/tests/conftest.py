"""content_service as it runs, on a database and a directory of the test's own."""

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings as hypothesis_settings

from chassis.models.embeddings import MiniLM
from chassis.testing import House, Served, bearer
from content_service.app import Parts, build, parts
from content_service.settings import Settings
from meno.content.v1.content_service_pb2 import (
    Body,
    Content,
    CreateContentRequest,
    PublishContentRequest,
    UnpublishContentRequest,
)
from meno.content.v1.content_service_pb2_grpc import ContentServiceStub
from meno.content.v1.knowledge_service_pb2 import SearchRequest
from meno.content.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    Chunk,
    Material,
    UploadMaterialRequest,
    WatchMaterialRequest,
)
from meno.content.v1.material_service_pb2_grpc import MaterialServiceStub

# A busy machine is not a fault of the rules.
hypothesis_settings.register_profile("unhurried", deadline=None)
hypothesis_settings.load_profile("unhurried")

SECRET = "a secret of this test, long enough"
PIECE = 64 * 1024

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
    """Somebody with a role in a class."""

    user_id: str
    class_id: str
    auth: dict[str, Any]
    """Arguments that make a call theirs."""


class ContentService:
    """Stubs of the running service, and what a test does with them again and again."""

    def __init__(self, house: House, served: Served, parts: Parts, settings: Settings) -> None:
        self.parts = parts
        self.settings = settings
        self.database_url = parts.database.url
        self._house = house
        channel = served.channel()
        self.contents = ContentServiceStub(channel)
        self.materials = MaterialServiceStub(channel)
        self.knowledge = KnowledgeServiceStub(channel)

    def teacher(self, class_id: str | None = None) -> Person:
        return self._person(class_id or str(uuid.uuid4()), "TEACHER")

    def student(self, class_id: str) -> Person:
        return self._person(class_id, "STUDENT")

    def files(self) -> list[Path]:
        """What lies in object storage."""
        directory = Path(self.settings.storage_url.removeprefix("file://"))
        return [path for path in directory.rglob("*") if path.is_file()]

    async def create(self, teacher: Person, body: Body, title: str = "Something", parent_id: str = "") -> Content:
        request = CreateContentRequest(
            class_id=teacher.class_id, parent_id=parent_id, title=title, body=body
        )
        return await self.contents.CreateContent(request, **teacher.auth)

    async def module(self, teacher: Person, title: str = "A module") -> Content:
        return await self.create(teacher, Body(module=Body.Module(summary="About it.")), title)

    async def lesson(self, teacher: Person, title: str = "A lesson", parent_id: str = "") -> Content:
        return await self.create(teacher, Body(lesson=Body.Lesson(text="Read this.")), title, parent_id)

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

    async def outcome(self, teacher: Person, material_id: str) -> Material:
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
        """A material that is ready, published, and attached to a published content."""
        uploaded = await self.upload(teacher, data, file_name)
        await self.outcome(teacher, uploaded.material_id)
        await self.publish(teacher, uploaded.material_id)
        await self.attach(teacher, content_id, uploaded.material_id)
        await self.publish(teacher, content_id)
        return uploaded

    async def search(self, person: Person, query: str, **values: Any) -> list[Chunk]:
        request = SearchRequest(class_id=person.class_id, query=query, **values)
        return [*(await self.knowledge.Search(request, **person.auth)).chunks]

    def _person(self, class_id: str, role: str) -> Person:
        user_id = str(uuid.uuid4())
        token = self._house.issuer.token(user_id, role=role, classes={class_id: role})
        return Person(user_id, class_id, bearer(token))


async def pieces(
    class_id: str, data: bytes | str, file_name: str = "notes.md", content_type: str = "", **values: str
) -> AsyncIterator[UploadMaterialRequest]:
    """An upload in several messages."""
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


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest_asyncio.fixture(scope="session")
async def embedder(model_cache: Path) -> AsyncIterator[MiniLM]:
    embedder = MiniLM(model_cache)
    yield embedder
    await embedder.close()


@pytest.fixture
def settings(new_database: Callable[[str], str], tmp_path: Path, model_cache: Path) -> Settings:
    return Settings(
        database_url=new_database("content_service"),
        secret=SECRET,
        tls_directory=tmp_path,
        storage_url=f"file://{tmp_path}/files",
        max_file_bytes=2**20,
        model_cache=model_cache,
    )


@pytest_asyncio.fixture
async def content(
    house: House, settings: Settings, embedder: MiniLM
) -> AsyncIterator[ContentService]:
    async with (
        house.guard() as guard,
        parts(settings, embedder) as opened,
        house.serve(build(settings, opened, guard), "content_service") as served,
    ):
        yield ContentService(house, served, opened, settings)
