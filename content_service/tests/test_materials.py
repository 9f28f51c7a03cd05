"""Materials over gRPC: uploads, access, and the progress of processing."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import TestEnvironment, execute_sql, expect_error, parse_error
from content_service.knowledge.minilm import MiniLM
from content_service.settings import Settings
from content_service.tests.conftest import (
    MAX_FILE_BYTES,
    PHOTOSYNTHESIS,
    PIECE,
    VOLCANOES,
    ContentService,
    Person,
    pieces,
    serve,
    titles,
)
from meno.content.v1.content_service_pb2 import UpdateDraftRequest
from meno.content.v1.material_service_pb2 import (
    GetMaterialRequest,
    RetryProcessingRequest,
    UploadMaterialRequest,
    WatchMaterialRequest,
    WatchMaterialResponse,
)
from meno.content.v1.resources_pb2 import (
    CONTENT_KIND_MATERIAL,
    PROCESSING_STAGE_QUEUED,
    PROCESSING_STAGE_READY,
    PROCESSING_STATUS_PENDING,
    PROCESSING_STATUS_READY,
    REVISION_STATE_DRAFT,
    Content,
    ContentBody,
    Material,
)


async def get_material(service: ContentService, person: Person, material_id: str) -> Material:
    request = GetMaterialRequest(class_id=person.class_id, material_id=material_id)
    return await service.materials.GetMaterial(request, **person.auth)


def key_of(person: Person, material_id: str) -> dict[str, Any]:
    return {"class_id": person.class_id, "material_id": material_id}


async def test_an_uploaded_file_is_stored_at_once_and_processed_later(content: ContentService) -> None:
    teacher = content.teacher()
    uploaded = await content.upload(teacher, PHOTOSYNTHESIS, "plants.md")
    assert (uploaded.status, uploaded.stage) == (PROCESSING_STATUS_PENDING, PROCESSING_STAGE_QUEUED)
    assert (uploaded.title, uploaded.file.file_name) == ("plants", "plants.md")
    assert uploaded.file.content_type == "text/markdown"
    assert uploaded.file.size_bytes == len(PHOTOSYNTHESIS)
    [stored] = content.files(teacher.class_id)
    assert stored.read_text() == PHOTOSYNTHESIS
    ready = await content.wait_until_processed(teacher, uploaded.material_id)
    assert (ready.status, ready.stage, ready.progress_percent) == (
        PROCESSING_STATUS_READY,
        PROCESSING_STAGE_READY,
        100,
    )
    assert (ready.chunk_count, ready.page_count, ready.failure_message) == (1, 0, "")
    assert await get_material(content, teacher, uploaded.material_id) == ready


async def test_a_material_is_also_a_content(content: ContentService) -> None:
    teacher = content.teacher()
    uploaded = await content.upload(teacher, PHOTOSYNTHESIS, title="Leaves")
    [listed] = await content.drafts(teacher)
    assert (listed.content_id, listed.revision_id, listed.etag) == (
        uploaded.material_id,
        uploaded.revision_id,
        uploaded.etag,
    )
    assert (listed.kind, listed.state) == (CONTENT_KIND_MATERIAL, REVISION_STATE_DRAFT)
    assert (listed.title, listed.body) == ("Leaves", ContentBody(material=uploaded.file))
    rename = UpdateDraftRequest(
        class_id=teacher.class_id, content_id=uploaded.material_id, content=Content(title="Trees")
    )
    await content.contents.UpdateDraft(rename, **teacher.auth)
    renamed = await get_material(content, teacher, uploaded.material_id)
    assert (renamed.title, renamed.file) == ("Trees", uploaded.file)


async def test_a_file_is_uploaded_in_many_pieces(content: ContentService) -> None:
    teacher = content.teacher()
    data = (VOLCANOES * 1000).encode()[:MAX_FILE_BYTES]
    whole = await content.upload(teacher, data)
    assert whole.file.size_bytes == len(data)

    async def with_empty_messages() -> AsyncIterator[UploadMaterialRequest]:
        async for piece in pieces(teacher.class_id, data):
            yield piece
            yield UploadMaterialRequest()

    assert (await content.materials.UploadMaterial(with_empty_messages(), **teacher.auth)).file == whole.file
    assert [file.read_bytes() for file in content.files(teacher.class_id)] == [data] * 2


@pytest.mark.parametrize(
    ("file_name", "content_type", "title", "expected"),
    [
        ("C:\\My files\\leaves.TXT", "", "", ("leaves.TXT", "text/plain", "leaves")),
        ("../../etc/passwd.md", "", "", ("passwd.md", "text/markdown", "passwd")),
        ("a\u202etxt.fdp.html", "", "", ("atxt.fdp.html", "text/html", "atxt.fdp")),
        (".md", "text/markdown; charset=utf-8", "", (".md", "text/markdown", ".md")),
        ("\u3164lea\u2800ves.md", "", "", ("leaves.md", "text/markdown", "leaves")),
        ("می\u200cشوند.md\u200c", "", "", ("می\u200cشوند.md", "text/markdown", "می\u200cشوند")),
        ("noext", "Text/X-Markdown", "  Given ", ("noext", "text/markdown", "Given")),
        ("scan.pdf", "application/octet-stream", "", ("scan.pdf", "application/pdf", "scan")),
    ],
)
async def test_the_file_name_the_type_and_the_title_are_derived(
    content: ContentService, file_name: str, content_type: str, title: str, expected: tuple[str, str, str]
) -> None:
    teacher = content.teacher()
    upload = pieces(teacher.class_id, "Words.", file_name, content_type, title=title)
    made = await content.materials.UploadMaterial(upload, **teacher.auth)
    assert (made.file.file_name, made.file.content_type, made.title) == expected


@pytest.mark.parametrize(
    ("data", "file_name", "content_type", "reason", "metadata"),
    [
        (b"", "notes.md", "", "FILE_EMPTY", {}),
        (b"x" * (MAX_FILE_BYTES + 1), "notes.md", "", "FILE_TOO_LARGE", {"limit_bytes": str(MAX_FILE_BYTES)}),
        (b"\x89PNG", "notes.md", "image/png", "FILE_TYPE_UNSUPPORTED", {"content_type": "image/png"}),
        (b"MZ", "setup.exe", "", "FILE_TYPE_UNSUPPORTED", {"content_type": ""}),
        (b"x", "notes.md", "x" * 60_000, "FILE_TYPE_UNSUPPORTED", {"content_type": "x" * 200}),
    ],
)
async def test_a_refused_file_is_not_stored(
    content: ContentService,
    data: bytes,
    file_name: str,
    content_type: str,
    reason: str,
    metadata: dict[str, str],
) -> None:
    teacher = content.teacher()
    upload = pieces(teacher.class_id, data, file_name, content_type)
    denied = await expect_error(content.materials.UploadMaterial(upload, **teacher.auth))
    assert (denied.code, denied.reason, denied.metadata) == ("INVALID_ARGUMENT", reason, metadata)
    assert content.files(teacher.class_id) == await content.drafts(teacher) == []


@pytest.mark.parametrize(
    ("fields", "data", "violated"),
    [
        ({"file_name": ""}, b"x", "file_name"),
        ({"file_name": "dir/"}, b"x", None),
        ({"file_name": " \u200b/"}, b"x", "file_name"),
        ({"file_name": "\u3164.md"}, b"x", None),
        ({"file_name": "\u0301.md"}, b"x", "file_name"),
        ({"file_name": "x" * 201}, b"x", "file_name"),
        ({"file_name": "a\0.md"}, b"x", "file_name"),
        ({"title": "x" * 201}, b"x", "title"),
        ({"request_id": "1"}, b"x", "request_id"),
        ({}, b"x" * (2**21 + 1), "file.data"),
    ],
)
async def test_a_malformed_upload_is_refused_with_the_field(
    content: ContentService, fields: dict[str, Any], data: bytes, violated: str | None
) -> None:
    teacher = content.teacher()
    message = UploadMaterialRequest(**{"class_id": teacher.class_id, "file_name": "notes.md", **fields})
    message.file.data = data

    async def upload() -> AsyncIterator[UploadMaterialRequest]:
        yield message

    denied = await expect_error(content.materials.UploadMaterial(upload(), **teacher.auth))
    if violated is None:
        assert denied.reason == "FILE_TYPE_UNSUPPORTED"
    else:
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
        assert [broken.field for broken in denied.detail(BadRequest).field_violations] == [violated]
    assert content.files(teacher.class_id) == []


async def test_only_the_first_message_may_contain_the_class(content: ContentService) -> None:
    teacher, stranger = content.teacher(), content.teacher()

    async def with_second_class() -> AsyncIterator[UploadMaterialRequest]:
        async for piece in pieces(teacher.class_id, PHOTOSYNTHESIS):
            yield piece
        yield UploadMaterialRequest(class_id=stranger.class_id)

    denied = await expect_error(content.materials.UploadMaterial(with_second_class(), **teacher.auth))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    for person in (teacher, stranger):
        assert content.files(person.class_id) == await content.drafts(person) == []


async def test_an_interrupted_upload_stores_nothing(content: ContentService) -> None:
    teacher = content.teacher()
    arrived = asyncio.Event()

    async def incomplete() -> AsyncIterator[UploadMaterialRequest]:
        async for piece in pieces(teacher.class_id, b"words " * 100_000):
            yield piece
        arrived.set()
        await asyncio.Event().wait()

    call = content.materials.UploadMaterial(incomplete(), **teacher.auth)
    await arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    whole = await content.upload(teacher, PHOTOSYNTHESIS, title="Whole")
    assert titles(await content.drafts(teacher)) == ["Whole"]
    assert [file.stat().st_size for file in content.files(teacher.class_id)] == [whole.file.size_bytes]


async def test_a_class_accepts_only_so_many_bytes_in_a_day(
    env: TestEnvironment, settings: Settings, embedder: MiniLM
) -> None:
    quota = settings.model_copy(update={"class_upload_bytes_per_day": 3 << 20, "max_file_bytes": 2 << 20})
    async with serve(env, quota, embedder) as content:
        teacher, request_id = content.teacher(), str(uuid.uuid4())
        first = await content.upload(teacher, "Small, counts as 1 MiB.", request_id=request_id)
        await content.upload(teacher, "x" * (3 << 19))
        denied = await expect_error(content.upload(teacher, "Too much."))
        assert (denied.code, denied.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
        assert denied.metadata == {"resources": "MiB of files in a class", "quota": "3"}
        assert len(await content.drafts(teacher)) == len(content.files(teacher.class_id)) == 2
        again = "Small, counts as 1 MiB."
        assert await content.upload(teacher, again, request_id=request_id) == first
        await content.upload(content.teacher(), "Another class.")
        execute_sql(
            content.database_url,
            "UPDATE materials SET material_id = uuidv7(interval '-25 hours') WHERE material_id = %s",
            first.material_id,
        )
        await content.upload(teacher, "The next day.")


async def test_one_request_id_creates_one_material(content: ContentService) -> None:
    teacher, request_id = content.teacher(), str(uuid.uuid4())
    made = await asyncio.gather(
        *[content.upload(teacher, PHOTOSYNTHESIS, request_id=request_id) for _ in range(20)]
    )
    assert made == [made[0]] * 20
    assert len(await content.drafts(teacher)) == len(content.files(teacher.class_id)) == 1
    ready = await content.wait_until_processed(teacher, made[0].material_id)
    assert (ready.status, ready.chunk_count) == (PROCESSING_STATUS_READY, 1)


async def test_another_file_under_the_same_request_id_is_refused(content: ContentService) -> None:
    teacher, request_id = content.teacher(), str(uuid.uuid4())
    beginning = "Words. " * PIECE
    await content.upload(teacher, f"{beginning}The end.", request_id=request_id)
    # The first differs in its last message isolated.
    for data, name in ((f"{beginning}An end.", "notes.md"), (f"{beginning}The end.", "other.md")):
        denied = await expect_error(content.upload(teacher, data, name, request_id=request_id))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    assert len(await content.drafts(teacher)) == len(content.files(teacher.class_id)) == 1


async def test_the_same_file_may_be_uploaded_twice(content: ContentService) -> None:
    teacher = content.teacher()
    made = [await content.upload(teacher, PHOTOSYNTHESIS) for _ in range(2)]
    assert made[0].file == made[1].file
    assert titles(await content.drafts(teacher)) == ["notes", "notes"]


async def test_watching_a_material_streams_its_progress_until_it_is_ready(
    content: ContentService, without_polling: None
) -> None:
    teacher = content.teacher()
    uploaded = await content.upload(teacher, PHOTOSYNTHESIS)
    request = WatchMaterialRequest(**key_of(teacher, uploaded.material_id))
    steps = [step async for step in content.materials.WatchMaterial(request, **teacher.auth)]
    assert [step.WhichOneof("step") for step in steps] == ["material"] * (len(steps) - 1) + ["done"]
    seen = [step.material for step in steps[:-1]] + [steps[-1].done]
    progress = [(material.stage, material.progress_percent) for material in seen]
    assert progress == sorted(progress)
    assert all(before != after for before, after in pairwise(seen))
    again = [step async for step in content.materials.WatchMaterial(request, **teacher.auth)]
    assert again == [WatchMaterialResponse(done=seen[-1])]


async def test_watching_ends_with_an_error_when_the_material_is_deleted(
    isolated: ContentService, without_polling: None
) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, PHOTOSYNTHESIS)
    stream: Any = isolated.materials.WatchMaterial(
        WatchMaterialRequest(**key_of(teacher, uploaded.material_id)), **teacher.auth
    )
    assert (await stream.read()).material == uploaded
    isolated.delete(teacher.class_id, uploaded.material_id)
    await isolated.components.pipeline.process(teacher.class_id, uploaded.material_id)
    assert (await stream.read()).error.code == grpc.StatusCode.NOT_FOUND.value[0]
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await stream.read()
    assert parse_error(ended.value).reason == "MATERIAL_NOT_FOUND"


async def test_only_teachers_of_the_class_have_access_to_materials(content: ContentService) -> None:
    teacher, stranger = content.teacher(), content.teacher()
    uploaded = await content.upload(teacher, PHOTOSYNTHESIS)
    student = content.student(teacher.class_id)
    calls = content.materials
    for person, code, reason in (
        (student, "PERMISSION_DENIED", "ACCESS_DENIED"),
        (stranger, "NOT_FOUND", "MATERIAL_NOT_FOUND"),
    ):
        mine = key_of(person, uploaded.material_id)
        for call in (
            calls.GetMaterial(GetMaterialRequest(**mine), **person.auth),
            calls.WatchMaterial(WatchMaterialRequest(**mine), **person.auth),
            calls.RetryProcessing(RetryProcessingRequest(**mine), **person.auth),
        ):
            denied = await expect_error(call)
            assert (denied.code, denied.reason) == (code, reason)
    denied = await expect_error(content.upload(student, PHOTOSYNTHESIS))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    assert len(content.files(teacher.class_id)) == 1


async def test_a_lesson_is_not_a_material(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    denied = await expect_error(get_material(content, teacher, lesson.content_id))
    assert (denied.code, denied.reason) == ("NOT_FOUND", "MATERIAL_NOT_FOUND")
