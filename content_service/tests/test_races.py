"""Changes of one content at the same time, over gRPC: repetitions have one effect, and one of many wins."""

import asyncio
import uuid
from collections.abc import Awaitable, Iterable
from typing import Any

import grpc
import psycopg

from chassis.testing import refusal, refused
from content_service.tests.conftest import ContentService, Person, titles
from meno.content.v1.content_service_pb2 import (
    VISIBILITY_DRAFT,
    Body,
    Content,
    CreateContentRequest,
    GetContentRequest,
    PublishContentRequest,
    UnpublishContentRequest,
    UpdateDraftRequest,
)
from meno.content.v1.material_service_pb2 import AttachMaterialRequest, DetachMaterialRequest


async def outcomes(calls: Iterable[Awaitable[Any]]) -> tuple[list[Any], list[str]]:
    """What calls that are made at once return, and why the others are refused."""
    ended = await asyncio.gather(*calls, return_exceptions=True)
    refusals = [refusal(error).reason for error in ended if isinstance(error, grpc.aio.AioRpcError)]
    replies = [reply for reply in ended if not isinstance(reply, BaseException)]
    assert len(refusals) + len(replies) == len(ended)
    return replies, refusals


def states(service: ContentService, content: Content) -> list[str]:
    """The states of a content's revisions, the first one first."""
    with psycopg.connect(service.database_url) as connection:
        found = connection.execute(
            "SELECT state FROM content_revisions WHERE scope_id = %s AND content_id = %s ORDER BY number",
            [content.class_id, content.content_id],
        )
        return [state for (state,) in found]


def asked(teacher: Person, content: Content) -> dict[str, Any]:
    return {"class_id": teacher.class_id, "content_id": content.content_id}


async def test_one_request_id_makes_one_content(content: ContentService) -> None:
    teacher = content.teacher()
    body = Body(lesson=Body.Lesson(text="Once."))
    request = CreateContentRequest(
        class_id=teacher.class_id, title="Once", body=body, request_id=str(uuid.uuid4())
    )
    made = await asyncio.gather(*[content.contents.CreateContent(request, **teacher.auth) for _ in range(20)])
    assert made == [made[0]] * 20
    assert await content.drafts(teacher) == made[:1]
    request.title = "Twice"
    denied = await refused(content.contents.CreateContent(request, **teacher.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    colleague = content.teacher(teacher.class_id)
    another = await content.contents.CreateContent(request, **colleague.auth)
    assert titles(await content.drafts(teacher)) == ["Once", "Twice"]
    assert another.content_id != made[0].content_id


async def test_one_request_id_changes_a_content_once(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    material = await content.upload(teacher, "Words.")
    calls, materials, where = content.contents, content.materials, asked(teacher, lesson)
    version = int(lesson.etag, 16)
    changes: list[tuple[Any, Any]] = [
        (calls.UpdateDraft, UpdateDraftRequest(title="Other", etag=lesson.etag, **where)),
        (materials.AttachMaterial, AttachMaterialRequest(material_id=material.material_id, **where)),
        (calls.PublishContent, PublishContentRequest(**where)),
        (materials.DetachMaterial, DetachMaterialRequest(material_id=material.material_id, **where)),
        (calls.UnpublishContent, UnpublishContentRequest(**where)),
    ]
    for method, request in changes:
        request.request_id = str(uuid.uuid4())
        replies = await asyncio.gather(*[method(request, **teacher.auth) for _ in range(20)])
        assert replies == [replies[0]] * 20
        version += 1
        assert int(replies[0].etag, 16) == version
    assert states(content, lesson) == ["ARCHIVED", "DRAFT"]


async def test_a_refused_request_id_may_be_used_again(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    request = UnpublishContentRequest(request_id=str(uuid.uuid4()), **asked(teacher, lesson))
    assert (
        await refused(content.contents.UnpublishContent(request, **teacher.auth))
    ).reason == "NOT_PUBLISHED"
    await content.publish(teacher, lesson.content_id)
    hidden = await content.contents.UnpublishContent(request, **teacher.auth)
    assert hidden.visibility == VISIBILITY_DRAFT


async def test_of_many_who_read_the_same_draft_one_changes_it(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    await content.publish(teacher, lesson.content_id)
    read = (await content.drafts(teacher))[0]
    replies, refusals = await outcomes(
        content.contents.UpdateDraft(
            UpdateDraftRequest(title=str(number), etag=read.etag, **asked(teacher, lesson)), **teacher.auth
        )
        for number in range(20)
    )
    assert (len(replies), refusals) == (1, ["ETAG_MISMATCH"] * 19)
    assert await content.drafts(teacher) == replies
    assert states(content, lesson) == ["PUBLISHED", "DRAFT"]


async def test_a_draft_is_begun_once_by_many_who_change_it(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    await content.publish(teacher, lesson.content_id)
    replies, refusals = await outcomes(
        content.contents.UpdateDraft(
            UpdateDraftRequest(title=str(number), **asked(teacher, lesson)), **teacher.auth
        )
        for number in range(20)
    )
    assert refusals == []
    last = max(replies, key=lambda reply: int(reply.etag, 16))
    assert {reply.revision_number for reply in replies} == {2}
    assert len({reply.etag for reply in replies}) == 20
    assert await content.drafts(teacher) == [last]
    assert states(content, lesson) == ["PUBLISHED", "DRAFT"]


async def test_a_draft_is_published_once(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    replies, refusals = await outcomes(content.publish(teacher, lesson.content_id) for _ in range(20))
    assert (len(replies), refusals) == (1, ["NO_DRAFT"] * 19)
    assert states(content, lesson) == ["PUBLISHED"]


async def test_whatever_happens_at_once_a_reader_sees_one_whole_revision(content: ContentService) -> None:
    teacher = content.teacher()
    student = content.student(teacher.class_id)
    lesson = await content.lesson(teacher, "0")
    await content.publish(teacher, lesson.content_id)

    async def change(number: int) -> Content:
        body = Body(lesson=Body.Lesson(text=str(number)))
        request = UpdateDraftRequest(title=str(number), body=body, **asked(teacher, lesson))
        return await content.contents.UpdateDraft(request, **teacher.auth)

    async def read() -> Content:
        return await content.contents.GetContent(GetContentRequest(**asked(student, lesson)), **student.auth)

    calls: list[Awaitable[Any]] = []
    for number in range(1, 15):
        calls += [change(number), content.publish(teacher, lesson.content_id), read()]
        calls += [content.unpublish(teacher, lesson.content_id), read()]
    replies, refusals = await outcomes(calls)
    assert {*refusals} <= {"NO_DRAFT", "NOT_PUBLISHED", "CONTENT_NOT_FOUND"}
    assert all(reply.body.lesson.text == reply.title or reply.title == "0" for reply in replies)
    kept = states(content, lesson)
    assert (kept.count("DRAFT") <= 1, kept.count("PUBLISHED") <= 1) == (True, True)
    assert {*kept[:-2]} <= {"ARCHIVED"}
