"""The users, classes and resources that the matrix calls. They are created once, through the gateway.

There are two active classes, an archived one and a deleted one. The data of each user and class contains a
marker, so that the tests detect it in a response to another user.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg

from chassis.testing import eventually_error
from deploy.stack.postgres import SUPERUSER, Postgres
from meno.access.v1.access_pb2 import ClassRole, GlobalRole
from meno.chat.v1.chat_service_pb2 import AskRequest, CreateChatRequest, ListChatsRequest
from meno.chat.v1.resources_pb2 import SourceMode
from meno.content.v1.content_service_pb2 import ListContentsRequest, UpdateDraftRequest
from meno.content.v1.resources_pb2 import Content, ContentBody
from meno.identity.v1.admin_service_pb2 import (
    CreateModelBackendRequest,
    CreateModelRequest,
    DeleteModelBackendRequest,
    DeleteModelRequest,
)
from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub
from meno.identity.v1.class_service_pb2 import (
    ArchiveClassRequest,
    DeleteClassRequest,
    RemoveMembershipRequest,
)
from meno.identity.v1.resources_pb2 import Class, ModelProvider
from meno.identity.v1.user_service_pb2 import (
    DeactivateUserRequest,
    DeleteUserRequest,
    GetUserRequest,
    SetGlobalRoleRequest,
)
from meno.session.v1.event_service_pb2 import AppendEventsRequest
from meno.session.v1.resources_pb2 import Event, EventKind, Goal
from meno.session.v1.session_service_pb2 import CreateSessionRequest, ListSessionsRequest
from tests.access.oracle import Persona
from tests.access.targets import Ids, TestIds
from tests.installation import Installation
from tests.people import Person

STUDENT, TEACHER = ClassRole.CLASS_ROLE_STUDENT, ClassRole.CLASS_ROLE_TEACHER
LEARNERS = ("owner", "classmate", "other student", "removed member", "deactivated", "guest", "deleted person")
TEACHERS = ("class teacher", "other teacher")
TEXT = "# {marker}\n\nA lichen is a partnership of a fungus and an alga. {marker}.\n"


def marker(name: str) -> str:
    """Returns the text that only the data of this user or class contains."""
    return f"mark{uuid.uuid5(uuid.NAMESPACE_OID, name).hex}"


@dataclass(frozen=True)
class Dataset:
    """The callers, and the ids that they call with."""

    personas: tuple[Persona, ...]
    ids: Mapping[str, TestIds]
    """By the name of the persona."""
    forbidden_markers: Mapping[str, frozenset[str]]
    """The markers of data that a persona must never see, by the name of the persona."""
    installation: Installation

    async def create_disposable_persona(self, persona: Persona) -> Persona:
        """Creates a user with the same role and without a class. No other test uses it."""
        person = await self.installation.sign_in_guest()
        user_id = person.tokens.user.user_id
        await execute_sql(
            self.installation,
            "identity",
            "UPDATE users SET role = %s, guest = %s WHERE user_id = %s",
            persona.role,
            persona.guest,
            user_id,
        )
        await person.refresh()
        return replace(persona, user_id=user_id, token=person.tokens.access_token)


async def create(installation: Installation) -> Dataset:
    """Creates the dataset. This takes a few seconds, mostly for hashing passwords and processing material."""
    builder = _Builder(installation)
    await builder.create_users()
    await builder.create_classes()
    await asyncio.gather(
        *(builder.create_personal_data(name) for name in (*LEARNERS, *TEACHERS, "admin")),
        *(builder.create_contents(name) for name in builder.classes),
        builder.create_models(),
    )
    await builder.delete_and_revoke()
    return builder.build()


class _Builder:
    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.users: dict[str, Person] = {}
        self.classes: dict[str, Class] = {}
        self.ids: dict[str, dict[str, str]] = {}
        """The resource ids by field, for each user and class and for the installation."""
        self.deleted_ids: dict[str, dict[str, str]] = {}
        """The same for their deleted resources."""

    async def create_users(self) -> None:
        """Signs up all users."""
        names = [*(name for name in LEARNERS if name != "guest"), "unassigned"]
        students = await asyncio.gather(*(self.installation.sign_up_student() for _ in names))
        teachers = await asyncio.gather(*(self.installation.sign_up_teacher() for _ in TEACHERS))
        self.users = dict(zip(names, students, strict=True)) | dict(zip(TEACHERS, teachers, strict=True))
        self.users["admin"] = await self.installation.create_admin()
        self.users["guest"] = await self.installation.sign_in_guest()

    async def create_classes(self) -> None:
        """Creates the classes and adds their members."""
        members = {
            "C": ("class teacher", ["owner", "classmate", "removed member", "deactivated"]),
            "D": ("other teacher", ["other student"]),
            "archived": ("class teacher", ["owner", "classmate"]),
            "deleted": ("class teacher", ["owner"]),
        }
        for name, (teacher, learners) in members.items():
            self.classes[name] = await self.installation.create_class(self.users[teacher])
            await asyncio.gather(
                *(
                    self.installation.join_class(self.users[learner], self.classes[name])
                    for learner in learners
                )
            )
        member = {"C": "classmate", "D": "other student", "archived": "classmate", "deleted": "owner"}
        for name, created_class in self.classes.items():
            self.ids[name] = {"class_id": created_class.class_id, "member_id": self.id_of(member[name])}
        for name in ("C", "D"):
            self.deleted_ids[name] = {"member_id": self.id_of("removed member")}

    async def create_personal_data(self, name: str) -> None:
        """Creates a session and a chat of one user, and one of each that `delete_and_revoke` deletes."""
        person = self.users[name]
        for ids in (self.ids, self.deleted_ids):
            goal = Goal(text=marker(name))
            session = await person.sessions.CreateSession(
                CreateSessionRequest(user_id="me", goal=goal), **person.auth
            )
            event = Event(client_event_id=str(uuid.uuid4()), kind=EventKind.EVENT_KIND_CHECK)
            await person.events.AppendEvents(
                AppendEventsRequest(user_id="me", session_id=session.session_id, events=[event]),
                **person.auth,
            )
            create_chat = CreateChatRequest(
                user_id="me", source=SourceMode.SOURCE_MODE_GENERAL, title=marker(name)
            )
            chat = await person.chats.CreateChat(create_chat, **person.auth)
            ask = AskRequest(user_id="me", chat_id=chat.chat_id, text=marker(name))
            steps = [step async for step in person.chats.Ask(ask, **person.auth)]
            ids[name] = {
                "session_id": session.session_id,
                "chat_id": chat.chat_id,
                "message_id": steps[-1].done.message_id,
            }

    async def create_contents(self, name: str) -> None:
        """Creates a published lesson with a new draft and a material in a class, and one of each to delete."""
        created_class = self.classes[name]
        teacher = self.users["other teacher" if name == "D" else "class teacher"]
        for ids in (self.ids, self.deleted_ids):
            material = await self.installation.upload_material(
                teacher, created_class, TEXT.format(marker=marker(name))
            )
            await self.installation.publish(teacher, created_class, material.material_id)
            lesson = await self.installation.create_lesson(teacher, created_class)
            draft = UpdateDraftRequest(
                class_id=created_class.class_id,
                content_id=lesson.content_id,
                content=Content(
                    title=marker(name), body=ContentBody(lesson=ContentBody.Lesson(text="Read again."))
                ),
            )
            await teacher.contents.UpdateDraft(draft, **teacher.auth)
            ids.setdefault(name, {}).update(
                content_id=lesson.content_id,
                material_id=material.material_id,
                revision_id=material.revision_id,
                chunk_id=await self._find_chunk(material.material_id),
            )

    async def create_models(self) -> None:
        """Creates a model and its backend, and one of each that is then deleted."""
        admin = self.users["admin"]
        stub = AdminServiceStub(self.installation.channel)
        for ids in (self.ids, self.deleted_ids):
            backend = await stub.CreateModelBackend(
                CreateModelBackendRequest(
                    name=str(uuid.uuid4()), provider=ModelProvider.MODEL_PROVIDER_BUILTIN
                ),
                **admin.auth,
            )
            model = await stub.CreateModel(
                CreateModelRequest(backend_id=backend.backend_id, model_name="built in"), **admin.auth
            )
            ids["installation"] = {"backend_id": backend.backend_id, "model_id": model.model_id}
        deleted = self.deleted_ids["installation"]
        await stub.DeleteModel(DeleteModelRequest(model_id=deleted["model_id"]), **admin.auth)
        await stub.DeleteModelBackend(
            DeleteModelBackendRequest(backend_id=deleted["backend_id"]), **admin.auth
        )
        self.ids["installation"]["key"] = "signup_role"
        deleted["key"] = "never_set"

    async def delete_and_revoke(self) -> None:
        """Archives, deletes, removes and deactivates. Refreshes tokens when the memberships are final."""
        teacher = self.users["class teacher"]
        remove = RemoveMembershipRequest(
            class_id=self.classes["C"].class_id, user_id=self.id_of("removed member")
        )
        await teacher.classes.RemoveMembership(remove, **teacher.auth)
        await teacher.classes.ArchiveClass(
            ArchiveClassRequest(class_id=self.classes["archived"].class_id), **teacher.auth
        )
        await teacher.refresh()
        await teacher.classes.DeleteClass(
            DeleteClassRequest(class_id=self.classes["deleted"].class_id), **teacher.auth
        )
        await self._delete_rows()
        refreshing = [person for name, person in self.users.items() if name != "deleted person"]
        await asyncio.gather(*(person.refresh() for person in refreshing))
        await self._deactivate_delete_and_demote()

    def build(self) -> Dataset:
        """Returns the dataset."""
        classes = {name: created_class.class_id for name, created_class in self.classes.items()}
        in_c = {"classes": {classes["C"]: STUDENT}}
        in_both = {**in_c, "archived": {classes["archived"]: STUDENT}}
        permissions: dict[str, dict[str, Any]] = {
            "owner": {"role": "STUDENT", **in_both},
            "class teacher": {
                "role": "TEACHER",
                "classes": {classes["C"]: TEACHER},
                "archived": {classes["archived"]: TEACHER},
            },
            "other teacher": {"role": "TEACHER", "classes": {classes["D"]: TEACHER}},
            "classmate": {"role": "STUDENT", **in_both},
            "other student": {"role": "STUDENT", "classes": {classes["D"]: STUDENT}},
            "admin": {"role": "ADMIN"},
            "guest": {"role": "STUDENT", "guest": True},
            "removed member": {"role": "STUDENT"},
            "deactivated": {"role": "STUDENT", "revoked": True, **in_c},
            "unassigned": {"role": "UNASSIGNED"},
        }
        personas = [
            Persona(name, self.id_of(name), self.users[name].tokens.access_token, **held)
            for name, held in permissions.items()
        ]
        personas.append(Persona("anonymous"))
        return Dataset(
            personas=tuple(personas),
            ids={persona.name: self._test_ids(persona) for persona in personas},
            forbidden_markers={persona.name: self._forbidden_markers(persona) for persona in personas},
            installation=self.installation,
        )

    def id_of(self, name: str) -> str:
        """Returns the id of a user."""
        return self.users[name].tokens.user.user_id

    def _test_ids(self, persona: Persona) -> TestIds:
        in_d = self.classes["D"].class_id in persona.classes
        own_class, other_class = ("D", "C") if in_d else ("C", "D")
        user = persona.name if persona.name in self.users else "owner"
        other_user = "classmate" if user == "owner" else "owner"
        return TestIds(
            own=self._existing_ids(user, own_class),
            others=self._existing_ids(other_user, other_class),
            deleted=self._existing_ids("deleted person", "deleted") | self.deleted_ids["installation"],
            archived=self._existing_ids(user, "archived"),
            own_deleted=self._deleted_ids(user, own_class),
            others_deleted=self._deleted_ids(other_user, other_class),
        )

    def _existing_ids(self, user: str, class_name: str) -> dict[str, str]:
        return {
            **self.ids["installation"],
            **(self.ids.get(user) or self.ids["owner"]),
            **self.ids[class_name],
            "user_id": self.id_of(user),
        }

    def _deleted_ids(self, user: str, class_name: str) -> Ids:
        return {
            **self.deleted_ids["installation"],
            **(self.deleted_ids.get(user) or self.deleted_ids["owner"]),
            **self.deleted_ids[class_name],
            "user_id": self.id_of("deleted person"),
            "class_id": self.classes["deleted"].class_id,
        }

    def _forbidden_markers(self, persona: Persona) -> frozenset[str]:
        """Returns the markers of all other users and of all classes without a membership.

        Only an administrator sees and exports the data of other users.
        """
        others = {name for name in (*LEARNERS, *TEACHERS, "admin") if name != persona.name}
        memberships = {*persona.classes, *persona.archived}
        classes = {
            name for name, created_class in self.classes.items() if created_class.class_id not in memberships
        }
        visible = others if persona.role == "ADMIN" else set()
        return frozenset(map(marker, (others | classes) - visible))

    async def _find_chunk(self, material_id: str) -> str:
        """Returns the id of a chunk of a material. Only answers contain such ids."""
        select = "SELECT chunk_id FROM material_chunks WHERE material_id = %s LIMIT 1"
        [row] = await execute_sql(self.installation, "content", select, material_id)
        return str(row[0])

    async def _delete_rows(self) -> None:
        """Deletes the resources for which no RPC for deletion exists yet."""
        personal = [ids for ids in self.deleted_ids.values() if "chat_id" in ids]
        for ids in personal:
            await execute_sql(
                self.installation,
                "session",
                "UPDATE sessions SET deleted_at = now() WHERE session_id = %s",
                ids["session_id"],
            )
            await execute_sql(
                self.installation,
                "chat",
                "UPDATE chats SET deleted_at = now() WHERE chat_id = %s",
                ids["chat_id"],
            )
        for ids in self.deleted_ids.values():
            for name in ("content_id", "material_id"):
                if name in ids:
                    await execute_sql(
                        self.installation,
                        "content",
                        "UPDATE contents SET deleted_at = now() WHERE content_id = %s",
                        ids[name],
                    )

    async def _deactivate_delete_and_demote(self) -> None:
        """Removes permissions as an administrator."""
        admin = self.users["admin"]
        deactivate = DeactivateUserRequest(user_id=self.id_of("deactivated"))
        await admin.users.DeactivateUser(deactivate, **admin.auth)
        delete = DeleteUserRequest(user_id=self.id_of("deleted person"))
        await admin.users.DeleteUser(delete, **admin.auth)
        demote = SetGlobalRoleRequest(
            user_id=self.id_of("unassigned"), role=GlobalRole.GLOBAL_ROLE_UNASSIGNED
        )
        await admin.users.SetGlobalRole(demote, **admin.auth)
        await self.users["unassigned"].refresh()
        await self._wait_until_revoked()

    async def _wait_until_revoked(self) -> None:
        """Returns when every service rejects the token of the deactivated user."""
        person = self.users["deactivated"]
        user_id, class_id = self.id_of("deactivated"), self.classes["C"].class_id
        for attempt in (
            partial(person.users.GetUser, GetUserRequest(user_id=user_id), **person.auth),
            partial(person.contents.ListContents, ListContentsRequest(class_id=class_id), **person.auth),
            partial(person.sessions.ListSessions, ListSessionsRequest(user_id=user_id), **person.auth),
            partial(person.chats.ListChats, ListChatsRequest(user_id=user_id), **person.auth),
        ):
            assert (await eventually_error(attempt)).reason == "TOKEN_REVOKED"


async def execute_sql(
    installation: Installation, database: str, statement: str, *values: object
) -> list[Any]:
    """Executes a statement in a database of the stack and returns the rows."""
    url = Postgres(installation.layout.directory).url(database, SUPERUSER)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []
