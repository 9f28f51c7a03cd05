"""Act one: a teacher makes a class, a lesson, and gives it the course material."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from google.api.httpbody_pb2 import HttpBody
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from deploy.demo.people import Person
from deploy.demo.record import Disappointed
from meno.content.v1.content_service_pb2 import Body, Content, CreateContentRequest, PublishContentRequest
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    Material,
    ProcessingStage,
    ProcessingStatus,
    UploadMaterialRequest,
    WatchMaterialRequest,
)
from meno.identity.v1.class_service_pb2 import Class, CreateClassRequest

_PIECE = 256 * 1024
_TYPES = {".md": "text/markdown", ".pdf": "application/pdf"}


class Lesson(NamedTuple):
    """What the students find."""

    of_class: Class
    module: Content
    lesson: Content
    hidden: Content
    """A lesson that stays a draft."""


async def teach(teacher: Person, course: list[Path], console: Console) -> Lesson:
    """Makes the class, the module and the lesson, and publishes them with the material."""
    made = await teacher.record.call(
        teacher.classes.CreateClass,
        CreateClassRequest(title="Physics of the sea", request_id=_id()),
        **teacher.auth,
    )
    await teacher.refresh()
    console.print(f"  class [bold]{made.title}[/], join code [bold]{made.join_code}[/]")
    about = Body(module=Body.Module(summary="What moves the water along our coasts."))
    module = await _create(teacher, made, "The sea and the Moon", "", about)
    text = Body(
        lesson=Body.Lesson(text="Read the four chapters, then ask.", objectives=["explain the tides"])
    )
    lesson = await _create(teacher, made, "Tides", module.content_id, text)
    later = Body(lesson=Body.Lesson(text="To be written."))
    hidden = await _create(teacher, made, "Waves", module.content_id, later)
    materials = await _upload(teacher, made, course, console)
    for material in materials:
        request = AttachMaterialRequest(
            class_id=made.class_id,
            content_id=lesson.content_id,
            material_id=material.material_id,
            request_id=_id(),
        )
        await teacher.record.call(teacher.materials.AttachMaterial, request, **teacher.auth)
    contents = [*(material.material_id for material in materials), lesson.content_id, module.content_id]
    for content_id in contents:
        publish = PublishContentRequest(class_id=made.class_id, content_id=content_id, request_id=_id())
        await teacher.record.call(teacher.contents.PublishContent, publish, **teacher.auth)
    passages = sum(material.chunk_count for material in materials)
    console.print(f"  published a module, a lesson and {len(materials)} materials of {passages} passages")
    return Lesson(made, module, lesson, hidden)


async def _create(teacher: Person, made: Class, title: str, parent_id: str, body: Body) -> Content:
    request = CreateContentRequest(
        class_id=made.class_id, parent_id=parent_id, title=title, body=body, request_id=_id()
    )
    return await teacher.record.call(teacher.contents.CreateContent, request, **teacher.auth)


async def _upload(teacher: Person, made: Class, course: list[Path], console: Console) -> list[Material]:
    """Uploads every file at once and watches each until the tutor can quote it."""
    columns = (TextColumn("  {task.description:<34}"), BarColumn(24), TextColumn("{task.fields[stage]}"))
    with Progress(*columns, console=console) as progress:
        return list(await asyncio.gather(*(_upload_one(teacher, made, file, progress) for file in course)))


async def _upload_one(teacher: Person, made: Class, file: Path, progress: Progress) -> Material:
    bar = progress.add_task(file.name, total=100, stage="uploading")
    content = await asyncio.to_thread(file.read_bytes)
    material = await teacher.record.call(
        teacher.materials.UploadMaterial, _pieces(made, file.name, content), **teacher.auth
    )
    request = WatchMaterialRequest(class_id=made.class_id, material_id=material.material_id)
    async for step in teacher.record.stream(teacher.materials.WatchMaterial, request, **teacher.auth):
        material = step.done if step.HasField("done") else step.material
        stage = ProcessingStage.Name(material.stage).removeprefix("PROCESSING_STAGE_").lower()
        progress.update(bar, completed=material.progress_percent, stage=stage)
    if material.status != ProcessingStatus.PROCESSING_STATUS_READY:
        raise Disappointed(f"{file.name} was not processed: {material.failure_message}")
    return material


async def _pieces(made: Class, name: str, content: bytes) -> AsyncIterator[UploadMaterialRequest]:
    """The upload as gRPC sends it: what it is first, then the file in pieces."""
    yield UploadMaterialRequest(
        class_id=made.class_id,
        title=Path(name).stem.partition("-")[2].replace("-", " ").capitalize(),
        file_name=name,
        request_id=_id(),
        file=HttpBody(content_type=_TYPES[Path(name).suffix]),
    )
    for start in range(0, len(content), _PIECE):
        yield UploadMaterialRequest(file=HttpBody(data=content[start : start + _PIECE]))


def _id() -> str:
    return str(uuid.uuid4())
