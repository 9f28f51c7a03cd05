"""A client of a whole installation: creates users, classes, lessons and materials through the gateway."""

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
from tests.local_stack import GUARD_SECONDS
from tests.people import Person

_INTERVAL_SECONDS = 0.02


class Installation:
    """An installation under test, called through its gateway."""

    def __init__(self, layout: Layout, channel: grpc.aio.Channel) -> None:
        self.layout = layout
        self.channel = channel

    async def sign_up_student(self) -> Person:
        """Signs up a new student."""
        return await Person.sign_up(self.channel, "Student", GlobalRole.GLOBAL_ROLE_STUDENT)

    async def sign_up_teacher(self) -> Person:
        """Signs up a new teacher."""
        return await Person.sign_up(self.channel, "Teacher", GlobalRole.GLOBAL_ROLE_TEACHER)

    async def sign_in_guest(self) -> Person:
        """Signs in a new guest."""
        tokens = await AuthServiceStub(self.channel).SignInAsGuest(SignInAsGuestRequest())
        return Person(self.channel, tokens)

    async def create_admin(self) -> Person:
        """Signs up a new user and makes it an administrator, as `create-admin` does."""
        person = await self.sign_up_student()
        url = Postgres(self.layout.directory).url("identity", SUPERUSER)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(
                "UPDATE users SET role = 'ADMIN' WHERE user_id = %s", [person.tokens.user.user_id]
            )
        await person.refresh()
        return person

    async def create_class(self, teacher: Person) -> Class:
        """Creates a class of this teacher."""
        created_class = await teacher.classes.CreateClass(CreateClassRequest(title="Class"), **teacher.auth)
        await teacher.refresh()
        return created_class

    async def join_class(self, student: Person, created_class: Class) -> None:
        """Makes a user a student of a class."""
        request = JoinClassRequest(user_id="me", join_code=created_class.join_code)
        await student.classes.JoinClass(request, **student.auth)
        await student.refresh()

    async def create_lesson(self, teacher: Person, created_class: Class, *, publish: bool = True) -> Content:
        """Creates a lesson of a class, and publishes it by default."""
        body = ContentBody(lesson=ContentBody.Lesson(text="Read."))
        request = CreateContentRequest(class_id=created_class.class_id, title="Lesson", body=body)
        lesson = await teacher.contents.CreateContent(request, **teacher.auth)
        if publish:
            await self.publish(teacher, created_class, lesson.content_id)
        return lesson

    async def publish(self, teacher: Person, created_class: Class, content_id: str) -> None:
        """Publishes a draft."""
        request = PublishContentRequest(class_id=created_class.class_id, content_id=content_id)
        await teacher.contents.PublishContent(request, **teacher.auth)

    async def upload_material(self, teacher: Person, created_class: Class, text: str) -> Material:
        """Uploads a text and waits until it is processed."""
        pieces = [
            UploadMaterialRequest(
                class_id=created_class.class_id,
                file_name="text.md",
                file=HttpBody(content_type="text/markdown", data=text.encode()),
            )
        ]
        material = await teacher.materials.UploadMaterial(iter(pieces), **teacher.auth)
        watch = WatchMaterialRequest(class_id=created_class.class_id, material_id=material.material_id)
        async for step in teacher.materials.WatchMaterial(watch, **teacher.auth):
            if step.HasField("keep_alive"):
                continue
            material = step.done if step.HasField("done") else step.material
        return material

    async def create_taught_lesson(self, teacher: Person, created_class: Class, text: str) -> Content:
        """Creates a published lesson with published material."""
        material = await self.upload_material(teacher, created_class, text)
        lesson = await self.create_lesson(teacher, created_class, publish=False)
        attach = AttachMaterialRequest(
            class_id=created_class.class_id, content_id=lesson.content_id, material_id=material.material_id
        )
        await teacher.materials.AttachMaterial(attach, **teacher.auth)
        for content_id in (material.material_id, lesson.content_id):
            await self.publish(teacher, created_class, content_id)
        return lesson


async def wait_until_studied(person: Person) -> User:
    """Returns the user when their study activity has reached identity_service."""
    async with asyncio.timeout(GUARD_SECONDS):
        while True:
            user = await person.users.GetUser(GetUserRequest(user_id="me"), **person.auth)
            if user.streak_days:
                return user
            await asyncio.sleep(_INTERVAL_SECONDS)


async def wait_until_erased(admin: Person, user_id: str) -> None:
    """Returns when every service has reported the erasure of a user."""
    async with asyncio.timeout(GUARD_SECONDS):
        while True:
            found = await admin.users.GetErasure(GetErasureRequest(user_id=user_id), **admin.auth)
            if found.HasField("complete_time"):
                return
            await asyncio.sleep(_INTERVAL_SECONDS)


def new_id() -> str:
    """Returns a new request_id."""
    return str(uuid.uuid4())
