"""Concurrent changes of one content over gRPC: repetitions have one effect, and one of many changes wins."""

import asyncio
import uuid
from collections.abc import Awaitable, Iterable
from typing import Any

import grpc

from chassis.testing import execute_sql, expect_error, parse_error
from content_service.tests.conftest import ContentService, Person, titles
from meno.content.v1.content_service_pb2 import (
    CreateContentRequest,
    GetContentRequest,
    PublishContentRequest,
    UnpublishContentRequest,
    UpdateDraftRequest,
)
from meno.content.v1.material_service_pb2 import AttachMaterialRequest, DetachMaterialRequest
from meno.content.v1.resources_pb2 import REVISION_STATE_DRAFT, Content, ContentBody


async def run_concurrently(calls: Iterable[Awaitable[Any]]) -> tuple[list[Any], list[str]]:
    """Makes calls concurrently. Returns the replies and the reasons of the errors."""
    ended = await asyncio.gather(*calls, return_exceptions=True)
    reasons = [parse_error(error).reason for error in ended if isinstance(error, grpc.aio.AioRpcError)]
    replies = [reply for reply in ended if not isinstance(reply, BaseException)]
    assert len(reasons) + len(replies) == len(ended)
    return replies, reasons


def list_states(service: ContentService, content: Content) -> list[str]:
    """Returns the states of the revisions of a content, in order."""
    query = "SELECT state FROM content_revisions WHERE scope_id = %s AND content_id = %s ORDER BY number"
    found = execute_sql(service.database_url, query, content.class_id, content.content_id)
    return [state for (state,) in found]


def key_of(teacher: Person, content: Content) -> dict[str, Any]:
    return {"class_id": teacher.class_id, "content_id": content.content_id}


async def test_one_request_id_creates_one_content(content: ContentService) -> None:
    teacher = content.teacher()
    body = ContentBody(lesson=ContentBody.Lesson(text="Once."))
    request = CreateContentRequest(
        class_id=teacher.class_id, title="Once", body=body, request_id=str(uuid.uuid4())
    )
    made = await asyncio.gather(*[content.contents.CreateContent(request, **teacher.auth) for _ in range(20)])
    assert made == [made[0]] * 20
    assert await content.drafts(teacher) == made[:1]
    request.title = "Twice"
    denied = await expect_error(content.contents.CreateContent(request, **teacher.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    colleague = content.teacher(teacher.class_id)
    another = await content.contents.CreateContent(request, **colleague.auth)
    assert titles(await content.drafts(teacher)) == ["Once", "Twice"]
    assert another.content_id != made[0].content_id


async def test_one_request_id_changes_a_content_once(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    material = await content.upload(teacher, "Words.")
    calls, materials, key = content.contents, content.materials, key_of(teacher, lesson)
    version = int(lesson.etag, 16)
    changes: list[tuple[Any, Any]] = [
        (calls.UpdateDraft, UpdateDraftRequest(content=Content(title="Other"), etag=lesson.etag, **key)),
        (materials.AttachMaterial, AttachMaterialRequest(material_id=material.material_id, **key)),
        (calls.PublishContent, PublishContentRequest(**key)),
        (materials.DetachMaterial, DetachMaterialRequest(material_id=material.material_id, **key)),
        (calls.UnpublishContent, UnpublishContentRequest(**key)),
    ]
    for method, request in changes:
        request.request_id = str(uuid.uuid4())
        replies = await asyncio.gather(*[method(request, **teacher.auth) for _ in range(20)])
        assert replies == [replies[0]] * 20
        version += 1
        assert int(replies[0].etag, 16) == version
    assert list_states(content, lesson) == ["ARCHIVED", "DRAFT"]


async def test_the_request_id_of_a_failed_request_can_be_reused(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    request = UnpublishContentRequest(request_id=str(uuid.uuid4()), **key_of(teacher, lesson))
    assert (
        await expect_error(content.contents.UnpublishContent(request, **teacher.auth))
    ).reason == "NOT_PUBLISHED"
    await content.publish(teacher, lesson.content_id)
    unpublished = await content.contents.UnpublishContent(request, **teacher.auth)
    assert unpublished.state == REVISION_STATE_DRAFT


async def test_only_one_of_concurrent_updates_with_the_same_etag_succeeds(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    await content.publish(teacher, lesson.content_id)
    read = (await content.drafts(teacher))[0]
    replies, reasons = await run_concurrently(
        content.contents.UpdateDraft(
            UpdateDraftRequest(content=Content(title=str(number)), etag=read.etag, **key_of(teacher, lesson)),
            **teacher.auth,
        )
        for number in range(20)
    )
    assert (len(replies), reasons) == (1, ["ETAG_MISMATCH"] * 19)
    assert await content.drafts(teacher) == replies
    assert list_states(content, lesson) == ["PUBLISHED", "DRAFT"]


async def test_concurrent_updates_create_one_draft(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    await content.publish(teacher, lesson.content_id)
    replies, reasons = await run_concurrently(
        content.contents.UpdateDraft(
            UpdateDraftRequest(content=Content(title=str(number)), **key_of(teacher, lesson)), **teacher.auth
        )
        for number in range(20)
    )
    assert reasons == []
    last = max(replies, key=lambda reply: int(reply.etag, 16))
    assert {reply.revision_number for reply in replies} == {2}
    assert len({reply.etag for reply in replies}) == 20
    assert await content.drafts(teacher) == [last]
    assert list_states(content, lesson) == ["PUBLISHED", "DRAFT"]


async def test_concurrent_publications_publish_once(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    replies, reasons = await run_concurrently(content.publish(teacher, lesson.content_id) for _ in range(20))
    assert (len(replies), reasons) == (1, ["DRAFT_NOT_FOUND"] * 19)
    assert list_states(content, lesson) == ["PUBLISHED"]


async def test_readers_see_one_complete_revision_during_concurrent_changes(content: ContentService) -> None:
    teacher = content.teacher()
    student = content.student(teacher.class_id)
    lesson = await content.lesson(teacher, "0")
    await content.publish(teacher, lesson.content_id)

    async def change(number: int) -> Content:
        body = ContentBody(lesson=ContentBody.Lesson(text=str(number)))
        request = UpdateDraftRequest(content=Content(title=str(number), body=body), **key_of(teacher, lesson))
        return await content.contents.UpdateDraft(request, **teacher.auth)

    async def read() -> Content:
        return await content.contents.GetContent(GetContentRequest(**key_of(student, lesson)), **student.auth)

    calls: list[Awaitable[Any]] = []
    for number in range(1, 15):
        calls += [change(number), content.publish(teacher, lesson.content_id), read()]
        calls += [content.unpublish(teacher, lesson.content_id), read()]
    replies, reasons = await run_concurrently(calls)
    assert {*reasons} <= {"DRAFT_NOT_FOUND", "NOT_PUBLISHED", "CONTENT_NOT_FOUND"}
    assert all(reply.body.lesson.text == reply.title or reply.title == "0" for reply in replies)
    kept = list_states(content, lesson)
    assert (kept.count("DRAFT") <= 1, kept.count("PUBLISHED") <= 1) == (True, True)
    assert {*kept[:-2]} <= {"ARCHIVED"}
