"""Search and passages over gRPC: what a class finds, and what nobody may."""

import uuid
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import bearer, refused
from content_service.tests.conftest import PHOTOSYNTHESIS, VOLCANOES, ContentService, Person
from content_service.tests.pdf import pdf
from meno.content.v1.content_service_pb2 import Content, GetContentRequest, UpdateDraftRequest
from meno.content.v1.knowledge_service_pb2 import SearchRequest
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    Chunk,
    DetachMaterialRequest,
    GetChunkRequest,
    Material,
)

BREAD = "# Bread\n\nSourdough rises because wild yeast and bacteria ferment the flour overnight."


class School:
    """A class with a module, a lesson in it, and material for both."""

    def __init__(self, service: ContentService, teacher: Person) -> None:
        self.service = service
        self.teacher = teacher
        self.student = service.student(teacher.class_id)
        self.module: Content
        self.lesson: Content
        self.plants: Material
        self.earth: Material

    async def open(self) -> "School":
        self.module = await self.service.module(self.teacher)
        self.lesson = await self.service.lesson(self.teacher, parent_id=self.module.content_id)
        self.earth = await self.service.published_material(self.teacher, VOLCANOES, self.module.content_id)
        self.plants = await self.service.published_material(
            self.teacher, PHOTOSYNTHESIS, self.lesson.content_id
        )
        return self

    async def found(self, query: str, **values: Any) -> list[str]:
        """The materials that a student finds, best first."""
        chunks = await self.service.search(self.student, query, **values)
        return [chunk.material_id for chunk in chunks]


@pytest_asyncio.fixture
async def school(content: ContentService) -> School:
    return await School(content, content.teacher()).open()


@pytest_asyncio.fixture(scope="module")
async def library(content: ContentService) -> School:
    """A school in which nothing is changed."""
    return await School(content, content.teacher()).open()


async def test_a_class_finds_by_words_and_by_meaning(library: School) -> None:
    assert await library.found("chlorophyll glucose") == [library.plants.material_id]
    assert await library.found("How do leaves make food from the sun?") == [library.plants.material_id]
    assert await library.found("Why does molten rock come out of mountains?") == [library.earth.material_id]


async def test_a_passage_comes_with_what_a_citation_needs(library: School) -> None:
    [found] = await library.service.search(library.student, "What is basalt?")
    assert (found.class_id, found.material_id, found.revision_id) == (
        library.student.class_id,
        library.earth.material_id,
        library.earth.revision_id,
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
    for person in (library.teacher, library.student):
        assert await library.service.materials.GetChunk(request, **person.auth) == found


async def test_a_passage_of_a_pdf_names_its_page(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    filling = "The harbour was built of granite in those years, and ships came from every port. " * 15
    document = pdf([filling, f"{filling} Osmosis is the movement of water through a membrane.", filling])
    await content.published_material(teacher, document, lesson.content_id, "harbour.pdf")
    found = await content.search(teacher, "osmosis water membrane", limit=1)
    assert [("Osmosis" in chunk.text, chunk.page, chunk.material_title) for chunk in found] == [
        (True, 2, "harbour")
    ]


async def test_what_does_not_bear_on_the_question_is_left_out(library: School) -> None:
    for query in ("Who won the football cup in 1998?", "Mietvertrag kündigen", "quarterly tax return form"):
        assert await library.found(query) == []


async def test_nothing_is_found_in_a_class_without_material(content: ContentService) -> None:
    assert await content.search(content.teacher(), "chlorophyll") == []


async def test_another_class_finds_its_own_alone(content: ContentService, school: School) -> None:
    other = await School(content, content.teacher()).open()
    assert await other.found("chlorophyll") == [other.plants.material_id]
    assert await school.found("chlorophyll") == [school.plants.material_id]
    denied = await refused(
        content.knowledge.Search(
            SearchRequest(class_id=other.student.class_id, query="chlorophyll"), **school.student.auth
        )
    )
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    elsewhere = {"content_id": other.lesson.content_id}
    assert await school.found("chlorophyll", **elsewhere) == []


async def test_only_what_is_published_all_the_way_up_is_found(school: School) -> None:
    service, teacher = school.service, school.teacher
    plants, lesson, module = (
        school.plants.material_id,
        school.lesson.content_id,
        school.module.content_id,
    )
    assert await school.found("chlorophyll") == [plants]
    for hidden in (plants, lesson, module):
        await service.unpublish(teacher, hidden)
        assert await school.found("chlorophyll") == []
        assert await service.search(teacher, "chlorophyll") == []
        await service.publish(teacher, hidden)
        assert await school.found("chlorophyll") == [plants]
    service.delete(teacher.class_id, module)
    assert await school.found("chlorophyll") == []


async def test_a_material_is_found_once_it_is_ready_published_and_attached(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    await content.publish(teacher, lesson.content_id)
    material = await content.processed(teacher, BREAD)
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


async def test_a_lesson_names_its_students_the_published_materials_alone(content: ContentService) -> None:
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


async def test_a_detached_material_is_found_until_that_is_published(school: School) -> None:
    service, teacher = school.service, school.teacher
    request = DetachMaterialRequest(
        class_id=teacher.class_id, content_id=school.lesson.content_id, material_id=school.plants.material_id
    )
    draft = await service.materials.DetachMaterial(request, **teacher.auth)
    assert [*draft.material_ids] == []
    assert await service.materials.DetachMaterial(request, **teacher.auth) == draft
    assert await school.found("chlorophyll") == [school.plants.material_id]
    await service.publish(teacher, school.lesson.content_id)
    assert await school.found("chlorophyll") == []
    await service.attach(teacher, school.module.content_id, school.plants.material_id)
    await service.publish(teacher, school.module.content_id)
    assert await school.found("chlorophyll") == [school.plants.material_id]


async def test_attaching_twice_changes_nothing(school: School) -> None:
    service, teacher = school.service, school.teacher
    plants = school.plants.material_id
    unchanged = await service.attach(teacher, school.lesson.content_id, plants.upper())
    assert [*unchanged.material_ids] == [plants]
    assert await service.attach(teacher, school.lesson.content_id, plants) == unchanged
    both = await service.attach(teacher, school.lesson.content_id, school.earth.material_id)
    assert [*both.material_ids] == [plants, school.earth.material_id]


async def test_what_cannot_be_attached_is_refused(school: School, content: ContentService) -> None:
    stranger = await School(content, content.teacher()).open()
    lesson, plants = school.lesson.content_id, school.plants.material_id
    for content_id, material_id, reason in (
        (lesson, stranger.plants.material_id, "MATERIAL_NOT_FOUND"),
        (lesson, school.module.content_id, "MATERIAL_NOT_FOUND"),
        (lesson, str(uuid.uuid4()), "MATERIAL_NOT_FOUND"),
        (stranger.lesson.content_id, plants, "CONTENT_NOT_FOUND"),
        (plants, plants, "CONTENT_NOT_FOUND"),
    ):
        values = {"class_id": school.teacher.class_id, "content_id": content_id, "material_id": material_id}
        attach = AttachMaterialRequest(**values)
        denied = await refused(content.materials.AttachMaterial(attach, **school.teacher.auth))
        assert (denied.code, denied.reason) == ("NOT_FOUND", reason)
        if reason == "CONTENT_NOT_FOUND":
            detach = DetachMaterialRequest(**values)
            denied = await refused(content.materials.DetachMaterial(detach, **school.teacher.auth))
            assert (denied.code, denied.reason) == ("NOT_FOUND", reason)


async def test_a_search_keeps_to_where_it_is_asked(library: School) -> None:
    both = {library.plants.material_id, library.earth.material_id}
    query = "chlorophyll in leaves; magma and lava"
    assert {*await library.found(query)} == both
    assert {*await library.found(query, content_id=library.module.content_id)} == both
    assert await library.found(query, content_id=library.lesson.content_id.upper()) == [
        library.plants.material_id
    ]
    assert await library.found(query, content_id=str(uuid.uuid4())) == []
    assert len(await library.found(query, limit=1)) == 1


ASKED = "How does the chlorophyll in leaves absorb light for photosynthesis?"

HOSTILE = {
    "operators": f"{ASKED} & ! ( | <-> :* \\ ' \" or -- and not",
    "a statement": f"{ASKED}'; DROP TABLE material_chunks; --",
    "placeholders": f"{ASKED} %s %(scope_id)s :scope_id $1 {{}}",
    "markup": f"<b>{ASKED}</b> **{ASKED}** [x](y)",
    "hidden characters": "\u202e" + "\u200b".join(ASKED),
    "wide letters": "".join(chr(ord(letter) + 0xFEE0) if letter > " " else letter for letter in ASKED),
    "emoji": f"🌱 {ASKED} 🌞👩‍🔬",
    "another direction": f"سؤال {ASKED}",
    "a long question": f"{ASKED} " * 140,
    "a long word after it": f"{ASKED} {'x' * 9_000}",
    "a flood after it": f"{ASKED}{' ' * 930}{VOLCANOES * 30}",
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_question_is_a_question_like_any_other(library: School, kind: str) -> None:
    assert library.plants.material_id in await library.found(HOSTILE[kind])


@pytest.mark.parametrize(
    "query", ["the of and", "?!... -- ''", "🙂", "\u200b\u2060", "\u00ad", "نص بلا صلة", "a" * 10_000]
)
async def test_a_question_that_says_nothing_finds_nothing(library: School, query: str) -> None:
    assert await library.found(query) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"query": " \n\t"}, "query"),
        ({"query": "x" * 10_001}, "query"),
        ({"query": "a\0b"}, "query"),
        ({"query": "x", "limit": 51}, "limit"),
        ({"query": "x", "limit": -1}, "limit"),
        ({"query": "x", "content_id": "here"}, "content_id"),
    ],
)
async def test_a_malformed_search_is_refused_with_the_field(
    content: ContentService, values: dict[str, Any], field: str
) -> None:
    teacher = content.teacher()
    request = SearchRequest(class_id=teacher.class_id, **values)
    denied = await refused(content.knowledge.Search(request, **teacher.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert [broken.field for broken in denied.detail(BadRequest).field_violations] == [field]


def cited(chunk: Chunk, **changes: str) -> GetChunkRequest:
    values = {
        "class_id": chunk.class_id,
        "material_id": chunk.material_id,
        "revision_id": chunk.revision_id,
        "chunk_id": chunk.chunk_id,
    }
    return GetChunkRequest(**{**values, **changes})


async def test_a_citation_resolves_as_it_was_while_the_material_exists(school: School) -> None:
    service, teacher, student = school.service, school.teacher, school.student
    [found] = await service.search(student, "chlorophyll")
    rename = UpdateDraftRequest(
        class_id=teacher.class_id, content_id=found.material_id, title="Not for students"
    )
    await service.unpublish(teacher, found.material_id)
    draft = await service.contents.UpdateDraft(rename, **teacher.auth)
    assert await service.materials.GetChunk(cited(found), **student.auth) == found
    secret = cited(found, revision_id=draft.revision_id)
    denied = await refused(service.materials.GetChunk(secret, **student.auth))
    assert (denied.code, denied.reason) == ("NOT_FOUND", "CHUNK_NOT_FOUND")
    shown = await service.materials.GetChunk(secret, **teacher.auth)
    assert (shown.material_title, shown.text) == ("Not for students", found.text)
    service.delete(teacher.class_id, found.material_id)
    for person in (teacher, student):
        denied = await refused(service.materials.GetChunk(cited(found), **person.auth))
        assert denied.metadata == {"chunk_id": found.chunk_id}


async def test_in_an_archived_class_a_citation_still_resolves(school: School) -> None:
    service, teacher = school.service, school.teacher
    [found] = await service.search(school.student, "chlorophyll")
    for role in ("STUDENT", "TEACHER"):
        token = service.house.issuer.token(str(uuid.uuid4()), archived={teacher.class_id: role})
        assert await service.materials.GetChunk(cited(found), **bearer(token)) == found


async def test_a_student_does_not_read_what_was_never_published(content: ContentService) -> None:
    teacher = content.teacher()
    material = await content.processed(teacher, BREAD)
    with psycopg.connect(content.database_url) as connection:
        row = connection.execute(
            "SELECT chunk_id::text FROM material_chunks WHERE (scope_id, material_id) = (%s, %s)",
            [teacher.class_id, material.material_id],
        ).fetchone()
    assert row is not None
    request = GetChunkRequest(
        class_id=teacher.class_id,
        material_id=material.material_id,
        revision_id=material.revision_id,
        chunk_id=row[0],
    )
    assert (await content.materials.GetChunk(request, **teacher.auth)).text == BREAD
    student = content.student(teacher.class_id)
    denied = await refused(content.materials.GetChunk(request, **student.auth))
    assert (denied.code, denied.reason) == ("NOT_FOUND", "CHUNK_NOT_FOUND")


async def test_a_passage_is_found_under_all_that_names_it_or_not_at_all(
    school: School, content: ContentService
) -> None:
    other = await School(content, content.teacher()).open()
    [found] = await content.search(school.student, "chlorophyll")
    [foreign] = await content.search(other.student, "chlorophyll")
    for request in (
        cited(found, material_id=school.earth.material_id),
        cited(found, revision_id=school.earth.revision_id),
        cited(found, revision_id=foreign.revision_id),
        cited(found, chunk_id=foreign.chunk_id),
        cited(foreign, class_id=found.class_id),
    ):
        denied = await refused(content.materials.GetChunk(request, **school.teacher.auth))
        assert (denied.code, denied.reason) == ("NOT_FOUND", "CHUNK_NOT_FOUND")
    denied = await refused(content.materials.GetChunk(cited(foreign), **school.teacher.auth))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
