"""Ask through the gateway of a whole stack: a class of documents, students, and their questions."""

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
from tests.benchmarks.report import Say
from tests.people import Person

EACH_ASKS = 15
"""Below what a person may ask in a minute."""
AT_ONCE = 8
"""Uploads that run at a time."""


async def ask(
    port: int, documents: Sequence[Path], questions: Sequence[str], say: Say
) -> tuple[list[float], float]:
    """Teaches the documents to a class and asks, one question after the other.

    Returns the milliseconds to the first words of each answer, and the share of answers that cite.
    """
    async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
        teacher = await Person.sign_up(channel, "Benchmark Teacher", GlobalRole.GLOBAL_ROLE_TEACHER)
        made = await _teach(teacher, documents, say)
        milliseconds, citing = [], 0
        for start in range(0, len(questions), EACH_ASKS):
            student, chat = await _student(channel, made)
            say(f"asking: {start} of {len(questions)} questions")
            await _first_words(student, chat, "What is this course about?")
            for question in questions[start : start + EACH_ASKS]:
                seconds, cites = await _first_words(student, chat, question)
                milliseconds.append(1000 * seconds)
                citing += cites
    return milliseconds, citing / len(questions)


async def _teach(teacher: Person, documents: Sequence[Path], say: Say) -> Class:
    """Makes a class with one published lesson that has all the documents."""
    made = await teacher.classes.CreateClass(
        CreateClassRequest(title="Benchmark", request_id=_id()), **teacher.auth
    )
    await teacher.refresh()
    body = ContentBody(lesson=ContentBody.Lesson(text="Everything."))
    lesson = await teacher.contents.CreateContent(
        CreateContentRequest(class_id=made.class_id, title="Everything", body=body, request_id=_id()),
        **teacher.auth,
    )
    began = time.perf_counter()
    some = asyncio.Semaphore(AT_ONCE)

    async def upload(document: Path) -> Material:
        async with some:
            return await teacher.materials.UploadMaterial(_pieces(made, document), **teacher.auth)

    materials = await asyncio.gather(*map(upload, documents))
    passages = 0
    for place, material in enumerate(materials):
        say(f"material is processed: {place} of {len(materials)} documents")
        passages += (await _processed(teacher, material)).chunk_count
        attach = AttachMaterialRequest(
            class_id=made.class_id, content_id=lesson.content_id, material_id=material.material_id
        )
        await teacher.materials.AttachMaterial(attach, **teacher.auth)
    rate = passages / (time.perf_counter() - began)
    say(f"{len(materials)} documents of {passages} passages, {rate:.0f} a second from upload on")
    for content_id in [*(material.material_id for material in materials), lesson.content_id]:
        publish = PublishContentRequest(class_id=made.class_id, content_id=content_id)
        await teacher.contents.PublishContent(publish, **teacher.auth)
    return made


async def _processed(teacher: Person, material: Material) -> Material:
    request = WatchMaterialRequest(class_id=material.class_id, material_id=material.material_id)
    async for step in teacher.materials.WatchMaterial(request, **teacher.auth):
        if step.HasField("done"):
            assert step.done.status == PROCESSING_STATUS_READY, step.done.failure_message
            return step.done
    raise AssertionError(f"the stream of {material.title} was cut")


async def _student(channel: grpc.aio.Channel, made: Class) -> tuple[Person, Chat]:
    student = await Person.sign_up(channel, "Benchmark Student", GlobalRole.GLOBAL_ROLE_STUDENT)
    join = JoinClassRequest(user_id="me", join_code=made.join_code, request_id=_id())
    await student.classes.JoinClass(join, **student.auth)
    await student.refresh()
    request = CreateChatRequest(user_id="me", source=SOURCE_MODE_CLASS, class_id=made.class_id)
    return student, await student.chats.CreateChat(request, **student.auth)


async def _first_words(student: Person, chat: Chat, question: str) -> tuple[float, bool]:
    """Seconds until an answer's first words are here, and whether it cites."""
    request = AskRequest(user_id="me", chat_id=chat.chat_id, text=question, request_id=_id())
    began = time.perf_counter()
    first = None
    async for step in student.chats.Ask(request, **student.auth):
        if step.HasField("text_delta") and first is None:
            first = time.perf_counter() - began
        if step.HasField("done"):
            assert first is not None, "an answer without words"
            return first, bool(step.done.citations)
    raise AssertionError("the stream of an answer was cut")


async def _pieces(made: Class, document: Path) -> AsyncIterator[UploadMaterialRequest]:
    content = await asyncio.to_thread(document.read_bytes)
    yield UploadMaterialRequest(
        class_id=made.class_id,
        file_name=document.name,
        request_id=_id(),
        file=HttpBody(content_type="text/markdown", data=content),
    )


def _id() -> str:
    return str(uuid.uuid4())
