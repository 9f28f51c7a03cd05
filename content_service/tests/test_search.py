"""Search and chunks over gRPC: results, visibility and access."""

import uuid
from typing import Any

import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import bearer, execute_sql, expect_error
from content_service.tests.conftest import PHOTOSYNTHESIS, VOLCANOES, ContentService, Person
from content_service.tests.pdf import pdf
from meno.content.v1.content_service_pb2 import GetContentRequest, UpdateDraftRequest
from meno.content.v1.knowledge_service_pb2 import SearchRequest
from meno.content.v1.material_service_pb2 import AttachMaterialRequest, DetachMaterialRequest, GetChunkRequest
from meno.content.v1.resources_pb2 import Chunk, Content, Material

BREAD = "# Bread\n\nSourdough rises because wild yeast and bacteria ferment the flour overnight."


class SampleClass:
    """A class with a module, a lesson in it, and a material for each."""

    def __init__(self, service: ContentService, teacher: Person) -> None:
        self.service = service
        self.teacher = teacher
        self.student = service.student(teacher.class_id)
        self.module: Content
        self.lesson: Content
        self.plants: Material
        self.earth: Material

    async def create(self) -> "SampleClass":
        self.module = await self.service.module(self.teacher)
        self.lesson = await self.service.lesson(self.teacher, parent_id=self.module.content_id)
        self.earth = await self.service.published_material(self.teacher, VOLCANOES, self.module.content_id)
        self.plants = await self.service.published_material(
            self.teacher, PHOTOSYNTHESIS, self.lesson.content_id
        )
        return self

    async def find(self, query: str, **values: Any) -> list[str]:
        """Returns the ids of the materials that a student finds, best first."""
        chunks = await self.service.search(self.student, query, **values)
        return [chunk.material_id for chunk in chunks]


@pytest_asyncio.fixture
async def sample(content: ContentService) -> SampleClass:
    return await SampleClass(content, content.teacher()).create()


@pytest_asyncio.fixture(scope="module")
async def shared_sample(content: ContentService) -> SampleClass:
    """A sample class that tests do not change."""
    return await SampleClass(content, content.teacher()).create()


async def test_search_matches_terms_and_meaning(shared_sample: SampleClass) -> None:
    assert await shared_sample.find("chlorophyll glucose") == [shared_sample.plants.material_id]
    assert await shared_sample.find("How do leaves make food from the sun?") == [
        shared_sample.plants.material_id
    ]
    assert await shared_sample.find("Why does molten rock come out of mountains?") == [
        shared_sample.earth.material_id
    ]


async def test_a_found_chunk_contains_the_data_of_a_citation(shared_sample: SampleClass) -> None:
    [found] = await shared_sample.service.search(shared_sample.student, "What is basalt?")
    assert (found.class_id, found.material_id, found.revision_id) == (
        shared_sample.student.class_id,
        shared_sample.earth.material_id,
        shared_sample.earth.revision_id,
    )
    assert (found.material_title, found.section, found.ordinal, found.page) == (
        "notes",
        "Earth",
        0,
        0,
    )
    assert VOLCANOES[found.char_start : found.char_end] == found.text == VOLCANOES.strip()
    request = GetChunkRequest(
        class_id=found.class_id,
        material_id=found.material_id,
        revision_id=found.revision_id,
        chunk_id=found.chunk_id,
    )
    for person in (shared_sample.teacher, shared_sample.student):
        assert await shared_sample.service.materials.GetChunk(request, **person.auth) == found


async def test_a_chunk_of_a_pdf_has_its_page(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    filling = "The harbour was built of granite in those years, and ships came from every port. " * 15
    document = pdf([filling, f"{filling} Osmosis is the movement of water through a membrane.", filling])
    await content.published_material(teacher, document, lesson.content_id, "harbour.pdf")
    found = await content.search(teacher, "osmosis water membrane", top_k=1)
    assert [("Osmosis" in chunk.text, chunk.page, chunk.material_title) for chunk in found] == [
        (True, 2, "harbour")
    ]


async def test_irrelevant_chunks_are_not_returned(shared_sample: SampleClass) -> None:
    for query in ("Who won the football cup in 1998?", "Mietvertrag kündigen", "quarterly tax return form"):
        assert await shared_sample.find(query) == []


async def test_search_in_a_class_without_material_returns_nothing(content: ContentService) -> None:
    assert await content.search(content.teacher(), "chlorophyll") == []


async def test_search_returns_only_chunks_of_the_class(content: ContentService, sample: SampleClass) -> None:
    other = await SampleClass(content, content.teacher()).create()
    assert await other.find("chlorophyll") == [other.plants.material_id]
    assert await sample.find("chlorophyll") == [sample.plants.material_id]
    denied = await expect_error(
        content.knowledge.Search(
            SearchRequest(class_id=other.student.class_id, query="chlorophyll"), **sample.student.auth
        )
    )
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    foreign_content = {"content_id": other.lesson.content_id}
    assert await sample.find("chlorophyll", **foreign_content) == []


async def test_search_returns_only_chunks_below_published_contents(sample: SampleClass) -> None:
    service, teacher = sample.service, sample.teacher
    plants, lesson, module = (
        sample.plants.material_id,
        sample.lesson.content_id,
        sample.module.content_id,
    )
    assert await sample.find("chlorophyll") == [plants]
    for unpublished in (plants, lesson, module):
        await service.unpublish(teacher, unpublished)
        assert await sample.find("chlorophyll") == []
        assert await service.search(teacher, "chlorophyll") == []
        await service.publish(teacher, unpublished)
        assert await sample.find("chlorophyll") == [plants]
    service.delete(teacher.class_id, module)
    assert await sample.find("chlorophyll") == []


async def test_a_material_is_found_only_after_it_is_ready_published_and_attached(
    content: ContentService,
) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    await content.publish(teacher, lesson.content_id)
    material = await content.upload_and_process(teacher, BREAD)
    steps = (
        content.publish(teacher, material.material_id),
        content.attach(teacher, lesson.content_id, material.material_id),
        content.publish(teacher, lesson.content_id),
    )
    for step in steps:
        assert await content.search(teacher, "sourdough yeast") == []
        await step
    [found] = await content.search(teacher, "sourdough yeast")
    assert found.text == BREAD


async def test_students_see_only_the_published_materials_of_a_lesson(content: ContentService) -> None:
    teacher = content.teacher()
    student = content.student(teacher.class_id)
    lesson = await content.lesson(teacher)
    material = await content.upload(teacher, BREAD)
    await content.attach(teacher, lesson.content_id, material.material_id)
    published = await content.publish(teacher, lesson.content_id)
    assert [*published.material_ids] == [material.material_id]
    request = GetContentRequest(class_id=teacher.class_id, content_id=lesson.content_id)
    assert [*(await content.contents.GetContent(request, **student.auth)).material_ids] == []
    await content.publish(teacher, material.material_id)
    seen = await content.contents.GetContent(request, **student.auth)
    assert [*seen.material_ids] == [material.material_id]


async def test_a_detached_material_is_found_until_the_content_is_published(sample: SampleClass) -> None:
    service, teacher = sample.service, sample.teacher
    request = DetachMaterialRequest(
        class_id=teacher.class_id, content_id=sample.lesson.content_id, material_id=sample.plants.material_id
    )
    draft = await service.materials.DetachMaterial(request, **teacher.auth)
    assert [*draft.material_ids] == []
    assert await service.materials.DetachMaterial(request, **teacher.auth) == draft
    assert await sample.find("chlorophyll") == [sample.plants.material_id]
    await service.publish(teacher, sample.lesson.content_id)
    assert await sample.find("chlorophyll") == []
    await service.attach(teacher, sample.module.content_id, sample.plants.material_id)
    await service.publish(teacher, sample.module.content_id)
    assert await sample.find("chlorophyll") == [sample.plants.material_id]


async def test_attaching_twice_changes_nothing(sample: SampleClass) -> None:
    service, teacher = sample.service, sample.teacher
    plants = sample.plants.material_id
    unchanged = await service.attach(teacher, sample.lesson.content_id, plants.upper())
    assert [*unchanged.material_ids] == [plants]
    assert await service.attach(teacher, sample.lesson.content_id, plants) == unchanged
    both = await service.attach(teacher, sample.lesson.content_id, sample.earth.material_id)
    assert [*both.material_ids] == [plants, sample.earth.material_id]


async def test_attaching_an_unsuitable_material_is_refused(
    sample: SampleClass, content: ContentService
) -> None:
    stranger = await SampleClass(content, content.teacher()).create()
    lesson, plants = sample.lesson.content_id, sample.plants.material_id
    for content_id, material_id, reason in (
        (lesson, stranger.plants.material_id, "MATERIAL_NOT_FOUND"),
        (lesson, sample.module.content_id, "MATERIAL_NOT_FOUND"),
        (lesson, str(uuid.uuid4()), "MATERIAL_NOT_FOUND"),
        (stranger.lesson.content_id, plants, "CONTENT_NOT_FOUND"),
        (plants, plants, "CONTENT_NOT_FOUND"),
    ):
        values = {"class_id": sample.teacher.class_id, "content_id": content_id, "material_id": material_id}
        attach = AttachMaterialRequest(**values)
        denied = await expect_error(content.materials.AttachMaterial(attach, **sample.teacher.auth))
        assert (denied.code, denied.reason) == ("NOT_FOUND", reason)
        if reason == "CONTENT_NOT_FOUND":
            detach = DetachMaterialRequest(**values)
            denied = await expect_error(content.materials.DetachMaterial(detach, **sample.teacher.auth))
            assert (denied.code, denied.reason) == ("NOT_FOUND", reason)


async def test_search_is_restricted_to_the_given_content(shared_sample: SampleClass) -> None:
    both = {shared_sample.plants.material_id, shared_sample.earth.material_id}
    query = "chlorophyll in leaves; magma and lava"
    assert {*await shared_sample.find(query)} == both
    assert {*await shared_sample.find(query, content_id=shared_sample.module.content_id)} == both
    assert await shared_sample.find(query, content_id=shared_sample.lesson.content_id.upper()) == [
        shared_sample.plants.material_id
    ]
    assert await shared_sample.find(query, content_id=str(uuid.uuid4())) == []
    assert len(await shared_sample.find(query, top_k=1)) == 1


QUERY = "How does the chlorophyll in leaves absorb light for photosynthesis?"

SPECIAL_QUERIES = {
    "operators": f"{QUERY} & ! ( | <-> :* \\ ' \" or -- and not",
    "a statement": f"{QUERY}'; DROP TABLE material_chunks; --",
    "placeholders": f"{QUERY} %s %(scope_id)s :scope_id $1 {{}}",
    "markup": f"<b>{QUERY}</b> **{QUERY}** [x](y)",
    "hidden characters": "\u202e" + "\u200b".join(QUERY),
    "wide letters": "".join(chr(ord(letter) + 0xFEE0) if letter > " " else letter for letter in QUERY),
    "emoji": f"🌱 {QUERY} 🌞👩‍🔬",
    "right-to-left text": f"سؤال {QUERY}",
    "a long question": f"{QUERY} " * 140,
    "a long word after it": f"{QUERY} {'x' * 9_000}",
    "a very long text after it": f"{QUERY}{' ' * 930}{VOLCANOES * 30}",
}


@pytest.mark.parametrize("kind", SPECIAL_QUERIES)
async def test_special_characters_in_a_query_have_no_effect(shared_sample: SampleClass, kind: str) -> None:
    assert shared_sample.plants.material_id in await shared_sample.find(SPECIAL_QUERIES[kind])


@pytest.mark.parametrize(
    "query", ["the of and", "?!... -- ''", "🙂", "\u200b\u2060", "\u00ad", "نص بلا صلة", "a" * 10_000]
)
async def test_a_query_without_terms_returns_nothing(shared_sample: SampleClass, query: str) -> None:
    assert await shared_sample.find(query) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"query": " \n\t"}, "query"),
        ({"query": "x" * 10_001}, "query"),
        ({"query": "a\0b"}, "query"),
        ({"query": "x", "top_k": 51}, "top_k"),
        ({"query": "x", "top_k": -1}, "top_k"),
        ({"query": "x", "content_id": "here"}, "content_id"),
    ],
)
async def test_a_malformed_search_is_refused_with_the_field(
    content: ContentService, values: dict[str, Any], field: str
) -> None:
    teacher = content.teacher()
    request = SearchRequest(class_id=teacher.class_id, **values)
    denied = await expect_error(content.knowledge.Search(request, **teacher.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert [broken.field for broken in denied.detail(BadRequest).field_violations] == [field]


def chunk_request(chunk: Chunk, **changes: str) -> GetChunkRequest:
    values = {
        "class_id": chunk.class_id,
        "material_id": chunk.material_id,
        "revision_id": chunk.revision_id,
        "chunk_id": chunk.chunk_id,
    }
    return GetChunkRequest(**{**values, **changes})


async def test_a_citation_resolves_unchanged_while_the_material_exists(sample: SampleClass) -> None:
    service, teacher, student = sample.service, sample.teacher, sample.student
    [found] = await service.search(student, "chlorophyll")
    rename = UpdateDraftRequest(
        class_id=teacher.class_id,
        content_id=found.material_id,
        content=Content(title="Not for students"),
    )
    await service.unpublish(teacher, found.material_id)
    draft = await service.contents.UpdateDraft(rename, **teacher.auth)
    assert await service.materials.GetChunk(chunk_request(found), **student.auth) == found
    secret = chunk_request(found, revision_id=draft.revision_id)
    denied = await expect_error(service.materials.GetChunk(secret, **student.auth))
    assert (denied.code, denied.reason) == ("NOT_FOUND", "CHUNK_NOT_FOUND")
    seen = await service.materials.GetChunk(secret, **teacher.auth)
    assert (seen.material_title, seen.text) == ("Not for students", found.text)
    service.delete(teacher.class_id, found.material_id)
    for person in (teacher, student):
        denied = await expect_error(service.materials.GetChunk(chunk_request(found), **person.auth))
        assert denied.metadata == {"chunk_id": found.chunk_id}


async def test_a_citation_resolves_in_an_archived_class(sample: SampleClass) -> None:
    service, teacher = sample.service, sample.teacher
    [found] = await service.search(sample.student, "chlorophyll")
    for role in ("STUDENT", "TEACHER"):
        token = service.env.issuer.token(str(uuid.uuid4()), archived={teacher.class_id: role})
        assert await service.materials.GetChunk(chunk_request(found), **bearer(token)) == found


async def test_students_cannot_read_chunks_that_were_never_published(content: ContentService) -> None:
    teacher = content.teacher()
    material = await content.upload_and_process(teacher, BREAD)
    [[chunk_id]] = execute_sql(
        content.database_url,
        "SELECT chunk_id::text FROM material_chunks WHERE (scope_id, material_id) = (%s, %s)",
        *(teacher.class_id, material.material_id),
    )
    request = GetChunkRequest(
        class_id=teacher.class_id,
        material_id=material.material_id,
        revision_id=material.revision_id,
        chunk_id=chunk_id,
    )
    assert (await content.materials.GetChunk(request, **teacher.auth)).text == BREAD
    student = content.student(teacher.class_id)
    denied = await expect_error(content.materials.GetChunk(request, **student.auth))
    assert (denied.code, denied.reason) == ("NOT_FOUND", "CHUNK_NOT_FOUND")


async def test_a_chunk_is_found_only_if_all_ids_belong_together(
    sample: SampleClass, content: ContentService
) -> None:
    other = await SampleClass(content, content.teacher()).create()
    [found] = await content.search(sample.student, "chlorophyll")
    [foreign] = await content.search(other.student, "chlorophyll")
    for request in (
        chunk_request(found, material_id=sample.earth.material_id),
        chunk_request(found, revision_id=sample.earth.revision_id),
        chunk_request(found, revision_id=foreign.revision_id),
        chunk_request(found, chunk_id=foreign.chunk_id),
        chunk_request(foreign, class_id=found.class_id),
    ):
        denied = await expect_error(content.materials.GetChunk(request, **sample.teacher.auth))
        assert (denied.code, denied.reason) == ("NOT_FOUND", "CHUNK_NOT_FOUND")
    denied = await expect_error(content.materials.GetChunk(chunk_request(foreign), **sample.teacher.auth))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
