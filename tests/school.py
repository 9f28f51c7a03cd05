"""The people of a test of the whole system."""

import asyncio
import uuid

import grpc
import psycopg
from google.api.httpbody_pb2 import HttpBody

from deploy.stack.layout import Layout
from deploy.stack.postgres import SUPERUSER, Postgres
from meno.access.v1.access_pb2 import GlobalRole
from meno.content.v1.content_service_pb2 import CreateContentRequest, PublishContentRequest
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    UploadMaterialRequest,
    WatchMaterialRequest,
)
from meno.content.v1.resources_pb2 import Content, ContentBody, Material
from meno.identity.v1.auth_service_pb2 import SignInAsGuestRequest
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from meno.identity.v1.class_service_pb2 import CreateClassRequest, JoinClassRequest
from meno.identity.v1.resources_pb2 import Class, User
from meno.identity.v1.user_service_pb2 import GetErasureRequest, GetUserRequest
from tests.people import Person


class School:
    """Everybody who takes part, at the front door."""

    def __init__(self, layout: Layout, channel: grpc.aio.Channel) -> None:
        self.layout = layout
        self.channel = channel

    async def student(self) -> Person:
        """Somebody new who learns."""
        return await Person.sign_up(self.channel, "Student", GlobalRole.GLOBAL_ROLE_STUDENT)

    async def teacher(self) -> Person:
        """Somebody new who teaches."""
        return await Person.sign_up(self.channel, "Teacher", GlobalRole.GLOBAL_ROLE_TEACHER)

    async def guest(self) -> Person:
        """Somebody new whom nobody knows."""
        tokens = await AuthServiceStub(self.channel).SignInAsGuest(SignInAsGuestRequest())
        return Person(self.channel, tokens)

    async def admin(self) -> Person:
        """Somebody new who runs the installation, made one as `create-admin` makes them."""
        person = await self.student()
        url = Postgres(self.layout.directory).url("identity", SUPERUSER)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(
                "UPDATE users SET role = 'ADMIN' WHERE user_id = %s", [person.tokens.user.user_id]
            )
        await person.refresh()
        return person

    async def new_class(self, teacher: Person) -> Class:
        """A class of this teacher."""
        made = await teacher.classes.CreateClass(CreateClassRequest(title="Class"), **teacher.auth)
        await teacher.refresh()
        return made

    async def join(self, student: Person, made: Class) -> None:
        """Makes somebody a student of a class."""
        request = JoinClassRequest(user_id="me", join_code=made.join_code)
        await student.classes.JoinClass(request, **student.auth)
        await student.refresh()

    async def lesson(self, teacher: Person, made: Class, *, publish: bool = True) -> Content:
        """A lesson of a class."""
        body = ContentBody(lesson=ContentBody.Lesson(text="Read."))
        request = CreateContentRequest(class_id=made.class_id, title="Lesson", body=body)
        lesson = await teacher.contents.CreateContent(request, **teacher.auth)
        if publish:
            await self.publish(teacher, made, lesson.content_id)
        return lesson

    async def publish(self, teacher: Person, made: Class, content_id: str) -> None:
        """Shows a draft to the students."""
        request = PublishContentRequest(class_id=made.class_id, content_id=content_id)
        await teacher.contents.PublishContent(request, **teacher.auth)

    async def material(self, teacher: Person, made: Class, text: str) -> Material:
        """Uploads a text and waits until the tutor can quote it."""
        pieces = [
            UploadMaterialRequest(
                class_id=made.class_id,
                file_name="text.md",
                file=HttpBody(content_type="text/markdown", data=text.encode()),
            )
        ]
        material = await teacher.materials.UploadMaterial(iter(pieces), **teacher.auth)
        watch = WatchMaterialRequest(class_id=made.class_id, material_id=material.material_id)
        async for step in teacher.materials.WatchMaterial(watch, **teacher.auth):
            material = step.done if step.HasField("done") else step.material
        return material

    async def taught(self, teacher: Person, made: Class, text: str) -> Content:
        """A published lesson with published material."""
        material = await self.material(teacher, made, text)
        lesson = await self.lesson(teacher, made, publish=False)
        attach = AttachMaterialRequest(
            class_id=made.class_id, content_id=lesson.content_id, material_id=material.material_id
        )
        await teacher.materials.AttachMaterial(attach, **teacher.auth)
        for content_id in (material.material_id, lesson.content_id):
            await self.publish(teacher, made, content_id)
        return lesson


async def once_they_study(person: Person) -> User:
    """The person, as soon as it is known that they studied."""
    async with asyncio.timeout(10):
        while True:
            user = await person.users.GetUser(GetUserRequest(user_id="me"), **person.auth)
            if user.streak_days:
                return user
            await asyncio.sleep(0.02)


async def once_erased(admin: Person, user_id: str) -> None:
    """Returns when every service has said that it holds nothing of a person."""
    async with asyncio.timeout(30):
        while True:
            found = await admin.users.GetErasure(GetErasureRequest(user_id=user_id), **admin.auth)
            if found.HasField("complete_time"):
                return
            await asyncio.sleep(0.02)


def new_id() -> str:
    """A request_id."""
    return str(uuid.uuid4())
