"""Writes of teachers to contents and materials."""

from collections.abc import Awaitable, Callable
from typing import Any

from google.api.httpbody_pb2 import HttpBody

from meno.content.v1.content_service_pb2 import (
    CreateContentRequest,
    ListDraftsRequest,
    PublishContentRequest,
    UnpublishContentRequest,
    UpdateDraftRequest,
)
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    DetachMaterialRequest,
    RetryProcessingRequest,
    UploadMaterialRequest,
)
from meno.content.v1.resources_pb2 import Content, ContentBody
from meno.identity.v1.resources_pb2 import Class
from tests.end_to_end.writes.case import Cases
from tests.installation import Installation
from tests.people import Person

CASES = Cases()
PDF = HttpBody(content_type="application/pdf", data=b"%PDF-1.4 truncated")


@CASES.of("CreateContent")
async def _create_content(installation: Installation) -> Any:
    teacher = await installation.sign_up_teacher()
    created_class = await installation.create_class(teacher)

    request = CreateContentRequest(
        class_id=created_class.class_id, title="Once", body=ContentBody(module=ContentBody.Module())
    )
    return (teacher.contents.CreateContent, request, teacher), _draft_counter(teacher, created_class)


@CASES.of("UpdateDraft")
async def _update_draft(installation: Installation) -> Any:
    teacher, lesson = await _new_lesson(installation, publish=False)
    request = UpdateDraftRequest(
        class_id=lesson.class_id,
        content_id=lesson.content_id,
        content=Content(title="New"),
        etag=lesson.etag,
    )
    return (teacher.contents.UpdateDraft, request, teacher), None


@CASES.of("PublishContent")
async def _publish(installation: Installation) -> Any:
    teacher, lesson = await _new_lesson(installation, publish=False)
    request = PublishContentRequest(class_id=lesson.class_id, content_id=lesson.content_id)
    return (teacher.contents.PublishContent, request, teacher), None


@CASES.of("UnpublishContent")
async def _unpublish(installation: Installation) -> Any:
    teacher, lesson = await _new_lesson(installation)
    request = UnpublishContentRequest(class_id=lesson.class_id, content_id=lesson.content_id)
    return (teacher.contents.UnpublishContent, request, teacher), None


@CASES.of("UploadMaterial")
async def _upload(installation: Installation) -> Any:
    teacher = await installation.sign_up_teacher()
    created_class = await installation.create_class(teacher)

    request = UploadMaterialRequest(class_id=created_class.class_id, file_name="a.pdf", file=PDF)
    return (teacher.materials.UploadMaterial, request, teacher), _draft_counter(teacher, created_class)


@CASES.of("RetryProcessing")
async def _retry(installation: Installation) -> Any:
    teacher = await installation.sign_up_teacher()
    created_class = await installation.create_class(teacher)
    material = await installation.upload_material(teacher, created_class, " \n")
    request = RetryProcessingRequest(class_id=created_class.class_id, material_id=material.material_id)
    return (teacher.materials.RetryProcessing, request, teacher), None


@CASES.of("AttachMaterial")
async def _attach(installation: Installation) -> Any:
    teacher = await installation.sign_up_teacher()
    created_class = await installation.create_class(teacher)
    lesson = await installation.create_lesson(teacher, created_class)
    material = await installation.upload_material(teacher, created_class, "A text.")
    request = AttachMaterialRequest(
        class_id=created_class.class_id, content_id=lesson.content_id, material_id=material.material_id
    )
    return (teacher.materials.AttachMaterial, request, teacher), None


@CASES.of("DetachMaterial")
async def _detach(installation: Installation) -> Any:
    teacher = await installation.sign_up_teacher()
    created_class = await installation.create_class(teacher)
    lesson = await installation.create_taught_lesson(teacher, created_class, "A text.")
    [material_id] = (await _draft(teacher, created_class.class_id, lesson.content_id)).material_ids
    request = DetachMaterialRequest(
        class_id=created_class.class_id, content_id=lesson.content_id, material_id=material_id
    )
    return (teacher.materials.DetachMaterial, request, teacher), None


async def _new_lesson(installation: Installation, *, publish: bool = True) -> tuple[Person, Content]:
    teacher = await installation.sign_up_teacher()
    created_class = await installation.create_class(teacher)
    return teacher, await installation.create_lesson(teacher, created_class, publish=publish)


def _draft_counter(teacher: Person, created_class: Class) -> Callable[[], Awaitable[int]]:
    async def count() -> int:
        request = ListDraftsRequest(class_id=created_class.class_id)
        return len((await teacher.contents.ListDrafts(request, **teacher.auth)).contents)

    return count


async def _draft(teacher: Person, class_id: str, content_id: str) -> Any:
    listed = await teacher.contents.ListDrafts(ListDraftsRequest(class_id=class_id), **teacher.auth)
    [content] = [content for content in listed.contents if content.content_id == content_id]
    return content
