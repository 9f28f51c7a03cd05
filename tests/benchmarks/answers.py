"""Asks questions about the documents of a class, through the gateway of a complete stack."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
from google.api.httpbody_pb2 import HttpBody

from meno.access.v1.access_pb2 import GlobalRole
from meno.chat.v1.chat_service_pb2 import AskRequest, CreateChatRequest
from meno.chat.v1.resources_pb2 import SOURCE_MODE_CLASS, Chat
from meno.content.v1.content_service_pb2 import CreateContentRequest, PublishContentRequest
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    UploadMaterialRequest,
    WatchMaterialRequest,
)
from meno.content.v1.resources_pb2 import PROCESSING_STATUS_READY, ContentBody, Material
from meno.identity.v1.class_service_pb2 import CreateClassRequest, JoinClassRequest
from meno.identity.v1.resources_pb2 import Class
from tests.benchmarks.report import Progress
from tests.people import Person

QUESTIONS_PER_STUDENT = 15
"""Less than the rate limit of Ask per user and minute."""
MAX_CONCURRENT_UPLOADS = 8


async def ask(
    port: int, documents: Sequence[Path], questions: Sequence[str], progress: Progress
) -> tuple[list[float], float]:
    """Creates a class with the documents and asks one question after the other.

    Returns the milliseconds to the first text of each answer, and the share of answers with citations.
    """
    async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
        teacher = await Person.sign_up(channel, "Benchmark Teacher", GlobalRole.GLOBAL_ROLE_TEACHER)
        created_class = await _create_class(teacher, documents, progress)
        milliseconds, cited = [], 0
        for start in range(0, len(questions), QUESTIONS_PER_STUDENT):
            student, chat = await _create_student(channel, created_class)
            progress(f"asking: {start} of {len(questions)} questions")
            await _time_first_text(student, chat, "What is this course about?")
            for question in questions[start : start + QUESTIONS_PER_STUDENT]:
                seconds, has_citations = await _time_first_text(student, chat, question)
                milliseconds.append(1000 * seconds)
                cited += has_citations
    return milliseconds, cited / len(questions)


async def _create_class(teacher: Person, documents: Sequence[Path], progress: Progress) -> Class:
    """Creates a class with one published lesson that contains all documents."""
    created_class = await teacher.classes.CreateClass(
        CreateClassRequest(title="Benchmark", request_id=_id()), **teacher.auth
    )
    await teacher.refresh()
    body = ContentBody(lesson=ContentBody.Lesson(text="Everything."))
    lesson = await teacher.contents.CreateContent(
        CreateContentRequest(
            class_id=created_class.class_id, title="Everything", body=body, request_id=_id()
        ),
        **teacher.auth,
    )
    started = time.perf_counter()
    limit = asyncio.Semaphore(MAX_CONCURRENT_UPLOADS)

    async def upload(document: Path) -> Material:
        async with limit:
            return await teacher.materials.UploadMaterial(
                _upload_requests(created_class, document), **teacher.auth
            )

    materials = await asyncio.gather(*map(upload, documents))
    chunks = 0
    for number, material in enumerate(materials):
        progress(f"material is processed: {number} of {len(materials)} documents")
        chunks += (await _wait_until_processed(teacher, material)).chunk_count
        attach = AttachMaterialRequest(
            class_id=created_class.class_id, content_id=lesson.content_id, material_id=material.material_id
        )
        await teacher.materials.AttachMaterial(attach, **teacher.auth)
    rate = chunks / (time.perf_counter() - started)
    progress(f"{len(materials)} documents with {chunks} chunks, {rate:.0f} per second since the upload")
    for content_id in [*(material.material_id for material in materials), lesson.content_id]:
        publish = PublishContentRequest(class_id=created_class.class_id, content_id=content_id)
        await teacher.contents.PublishContent(publish, **teacher.auth)
    return created_class


async def _wait_until_processed(teacher: Person, material: Material) -> Material:
    request = WatchMaterialRequest(class_id=material.class_id, material_id=material.material_id)
    async for step in teacher.materials.WatchMaterial(request, **teacher.auth):
        if step.HasField("done"):
            assert step.done.status == PROCESSING_STATUS_READY, step.done.failure_message
            return step.done
    raise AssertionError(f"the stream of {material.title} ended early")


async def _create_student(channel: grpc.aio.Channel, created_class: Class) -> tuple[Person, Chat]:
    student = await Person.sign_up(channel, "Benchmark Student", GlobalRole.GLOBAL_ROLE_STUDENT)
    join = JoinClassRequest(user_id="me", join_code=created_class.join_code, request_id=_id())
    await student.classes.JoinClass(join, **student.auth)
    await student.refresh()
    request = CreateChatRequest(user_id="me", source=SOURCE_MODE_CLASS, class_id=created_class.class_id)
    return student, await student.chats.CreateChat(request, **student.auth)


async def _time_first_text(student: Person, chat: Chat, question: str) -> tuple[float, bool]:
    """Returns the seconds until the first text of an answer, and whether the answer has citations."""
    request = AskRequest(user_id="me", chat_id=chat.chat_id, text=question, request_id=_id())
    started = time.perf_counter()
    first = None
    async for step in student.chats.Ask(request, **student.auth):
        if step.HasField("text_delta") and first is None:
            first = time.perf_counter() - started
        if step.HasField("done"):
            assert first is not None, "an answer without text"
            return first, bool(step.done.citations)
    raise AssertionError("the stream of an answer ended early")


async def _upload_requests(created_class: Class, document: Path) -> AsyncIterator[UploadMaterialRequest]:
    content = await asyncio.to_thread(document.read_bytes)
    yield UploadMaterialRequest(
        class_id=created_class.class_id,
        file_name=document.name,
        request_id=_id(),
        file=HttpBody(content_type="text/markdown", data=content),
    )


def _id() -> str:
    return str(uuid.uuid4())
