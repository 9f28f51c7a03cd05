"""Step one: a teacher creates a class with a lesson, and uploads the course material."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from google.api.httpbody_pb2 import HttpBody
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from deploy.demo.recorder import ExpectationFailed
from deploy.demo.user import User
from meno.content.v1.content_service_pb2 import CreateContentRequest, PublishContentRequest
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    UploadMaterialRequest,
    WatchMaterialRequest,
)
from meno.content.v1.resources_pb2 import Content, ContentBody, Material, ProcessingStage, ProcessingStatus
from meno.identity.v1.class_service_pb2 import CreateClassRequest
from meno.identity.v1.resources_pb2 import Class

_UPLOAD_CHUNK_BYTES = 256 * 1024
_TYPES = {".md": "text/markdown", ".pdf": "application/pdf"}


class Lesson(NamedTuple):
    """The class and its contents."""

    of_class: Class
    module: Content
    lesson: Content
    draft: Content
    """A lesson that is not published."""


async def create_lesson(teacher: User, course: list[Path], console: Console) -> Lesson:
    """Creates the class, the module and the lesson, and publishes them with the material.

    Raises ExpectationFailed if a file cannot be processed.
    """
    made = await teacher.recorder.call(
        teacher.classes.CreateClass,
        CreateClassRequest(title="Physics of the sea", request_id=_request_id()),
        **teacher.auth,
    )
    await teacher.refresh()
    console.print(f"  class [bold]{made.title}[/], join code [bold]{made.join_code}[/]")
    about = ContentBody(module=ContentBody.Module(summary="How the Moon and the Sun move the sea."))
    module = await _create(teacher, made, "The sea and the Moon", "", about)
    text = ContentBody(
        lesson=ContentBody.Lesson(text="Read the four chapters, then ask.", objectives=["explain the tides"])
    )
    lesson = await _create(teacher, made, "Tides", module.content_id, text)
    later = ContentBody(lesson=ContentBody.Lesson(text="To be written."))
    draft = await _create(teacher, made, "Waves", module.content_id, later)
    materials = await _upload(teacher, made, course, console)
    for material in materials:
        request = AttachMaterialRequest(
            class_id=made.class_id,
            content_id=lesson.content_id,
            material_id=material.material_id,
            request_id=_request_id(),
        )
        await teacher.recorder.call(teacher.materials.AttachMaterial, request, **teacher.auth)
    contents = [*(material.material_id for material in materials), lesson.content_id, module.content_id]
    for content_id in contents:
        publish = PublishContentRequest(
            class_id=made.class_id, content_id=content_id, request_id=_request_id()
        )
        await teacher.recorder.call(teacher.contents.PublishContent, publish, **teacher.auth)
    passages = sum(material.chunk_count for material in materials)
    console.print(f"  published a module, a lesson and {len(materials)} materials of {passages} passages")
    return Lesson(made, module, lesson, draft)


async def _create(teacher: User, made: Class, title: str, parent_id: str, body: ContentBody) -> Content:
    request = CreateContentRequest(
        class_id=made.class_id, parent_id=parent_id, title=title, body=body, request_id=_request_id()
    )
    return await teacher.recorder.call(teacher.contents.CreateContent, request, **teacher.auth)


async def _upload(teacher: User, made: Class, course: list[Path], console: Console) -> list[Material]:
    """Uploads all files concurrently, and waits until each is processed."""
    columns = (TextColumn("  {task.description:<34}"), BarColumn(24), TextColumn("{task.fields[stage]}"))
    with Progress(*columns, console=console) as progress:
        return list(await asyncio.gather(*(_upload_one(teacher, made, file, progress) for file in course)))


async def _upload_one(teacher: User, made: Class, file: Path, progress: Progress) -> Material:
    bar = progress.add_task(file.name, total=100, stage="uploading")
    content = await asyncio.to_thread(file.read_bytes)
    material = await teacher.recorder.call(
        teacher.materials.UploadMaterial, _upload_requests(made, file.name, content), **teacher.auth
    )
    request = WatchMaterialRequest(class_id=made.class_id, material_id=material.material_id)
    async for step in teacher.recorder.stream(teacher.materials.WatchMaterial, request, **teacher.auth):
        if step.HasField("keep_alive"):
            continue
        material = step.done if step.HasField("done") else step.material
        stage = ProcessingStage.Name(material.stage).removeprefix("PROCESSING_STAGE_").lower()
        progress.update(bar, completed=material.progress_percent, stage=stage)
    if material.status != ProcessingStatus.PROCESSING_STATUS_READY:
        raise ExpectationFailed(f"{file.name} was not processed: {material.failure_message}")
    return material


async def _upload_requests(made: Class, name: str, content: bytes) -> AsyncIterator[UploadMaterialRequest]:
    """Yields the requests of an upload: first the metadata, then the file in chunks."""
    yield UploadMaterialRequest(
        class_id=made.class_id,
        title=Path(name).stem.partition("-")[2].replace("-", " ").capitalize(),
        file_name=name,
        request_id=_request_id(),
        file=HttpBody(content_type=_TYPES[Path(name).suffix]),
    )
    for start in range(0, len(content), _UPLOAD_CHUNK_BYTES):
        yield UploadMaterialRequest(file=HttpBody(data=content[start : start + _UPLOAD_CHUNK_BYTES]))


def _request_id() -> str:
    return str(uuid.uuid4())
