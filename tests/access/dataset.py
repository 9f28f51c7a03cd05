"""The people, classes and things that every call of the matrix is about; made once, through the front door.

Two classes that are taught, one that is archived, one that is deleted. What is somebody's own bears
a mark, so that a stranger's answer that holds it is noticed.
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
from tests.access.targets import Place, Places
from tests.installation import Installation
from tests.people import Person

STUDENT, TEACHER = ClassRole.CLASS_ROLE_STUDENT, ClassRole.CLASS_ROLE_TEACHER
LEARNERS = ("owner", "classmate", "other student", "removed member", "deactivated", "guest", "deleted person")
TEACHERS = ("class teacher", "other teacher")
TEXT = "# {mark}\n\nA lichen is a partnership of a fungus and an alga. {mark}.\n"


def mark(name: str) -> str:
    """What stands in everything that belongs to a person or a class, and nowhere else."""
    return f"mark{uuid.uuid5(uuid.NAMESPACE_OID, name).hex}"


@dataclass(frozen=True)
class Dataset:
    """Who calls, and at what."""

    personas: tuple[Persona, ...]
    places: Mapping[str, Places]
    """By the persona's name."""
    secrets: Mapping[str, frozenset[str]]
    """The marks of what a persona must never see."""
    installation: Installation

    async def stand_in(self, persona: Persona) -> Persona:
        """Somebody new with the same role, in no class, who is needed for nothing else."""
        person = await self.installation.sign_in_guest()
        user_id = person.tokens.user.user_id
        await sql(
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
    """Builds the dataset. Takes a few seconds, of which most go into passwords and material."""
    builder = _Builder(installation)
    await builder.people()
    await builder.classes()
    await asyncio.gather(
        *(builder.belongings(name) for name in (*LEARNERS, *TEACHERS, "admin")),
        *(builder.material(name) for name in builder.made),
        builder.models(),
    )
    await builder.end_what_ends()
    return builder.dataset()


class _Builder:
    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.at: dict[str, Person] = {}
        self.made: dict[str, Class] = {}
        self.things: dict[str, dict[str, str]] = {}
        """Ids by their field, of what belongs to a person, a class, or the installation."""
        self.gone: dict[str, dict[str, str]] = {}
        """The same of what is deleted of it."""

    async def people(self) -> None:
        """Signs everybody up."""
        names = [*(name for name in LEARNERS if name != "guest"), "unassigned"]
        students = await asyncio.gather(*(self.installation.sign_up_student() for _ in names))
        teachers = await asyncio.gather(*(self.installation.sign_up_teacher() for _ in TEACHERS))
        self.at = dict(zip(names, students, strict=True)) | dict(zip(TEACHERS, teachers, strict=True))
        self.at["admin"] = await self.installation.create_admin()
        self.at["guest"] = await self.installation.sign_in_guest()

    async def classes(self) -> None:
        """Opens the classes and fills them."""
        members = {
            "C": ("class teacher", ["owner", "classmate", "removed member", "deactivated"]),
            "D": ("other teacher", ["other student"]),
            "archived": ("class teacher", ["owner", "classmate"]),
            "deleted": ("class teacher", ["owner"]),
        }
        for name, (teacher, learners) in members.items():
            self.made[name] = await self.installation.create_class(self.at[teacher])
            await asyncio.gather(
                *(self.installation.join_class(self.at[learner], self.made[name]) for learner in learners)
            )
        member = {"C": "classmate", "D": "other student", "archived": "classmate", "deleted": "owner"}
        for name, made in self.made.items():
            self.things[name] = {"class_id": made.class_id, "member_id": self.id_of(member[name])}
        for name in ("C", "D"):
            self.gone[name] = {"member_id": self.id_of("removed member")}

    async def belongings(self, name: str) -> None:
        """A session and a chat of one person, and one of each that is then deleted."""
        person = self.at[name]
        for things in (self.things, self.gone):
            goal = Goal(text=mark(name))
            session = await person.sessions.CreateSession(
                CreateSessionRequest(user_id="me", goal=goal), **person.auth
            )
            event = Event(client_event_id=str(uuid.uuid4()), kind=EventKind.EVENT_KIND_CHECK)
            await person.events.AppendEvents(
                AppendEventsRequest(user_id="me", session_id=session.session_id, events=[event]),
                **person.auth,
            )
            opened = CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_GENERAL, title=mark(name))
            chat = await person.chats.CreateChat(opened, **person.auth)
            ask = AskRequest(user_id="me", chat_id=chat.chat_id, text=mark(name))
            steps = [step async for step in person.chats.Ask(ask, **person.auth)]
            things[name] = {
                "session_id": session.session_id,
                "chat_id": chat.chat_id,
                "message_id": steps[-1].done.message_id,
            }

    async def material(self, name: str) -> None:
        """A lesson of a class, published and drafted anew, with material; and one of each that is deleted."""
        made = self.made[name]
        teacher = self.at["other teacher" if name == "D" else "class teacher"]
        for things in (self.things, self.gone):
            material = await self.installation.upload_material(teacher, made, TEXT.format(mark=mark(name)))
            await self.installation.publish(teacher, made, material.material_id)
            lesson = await self.installation.create_lesson(teacher, made)
            draft = UpdateDraftRequest(
                class_id=made.class_id,
                content_id=lesson.content_id,
                content=Content(
                    title=mark(name), body=ContentBody(lesson=ContentBody.Lesson(text="Read again."))
                ),
            )
            await teacher.contents.UpdateDraft(draft, **teacher.auth)
            things.setdefault(name, {}).update(
                content_id=lesson.content_id,
                material_id=material.material_id,
                revision_id=material.revision_id,
                chunk_id=await self._chunk(material.material_id),
            )

    async def models(self) -> None:
        """A model and where it is, and one of each that is then deleted."""
        admin = self.at["admin"]
        stub = AdminServiceStub(self.installation.channel)
        for things in (self.things, self.gone):
            backend = await stub.CreateModelBackend(
                CreateModelBackendRequest(
                    name=str(uuid.uuid4()), provider=ModelProvider.MODEL_PROVIDER_BUILTIN
                ),
                **admin.auth,
            )
            model = await stub.CreateModel(
                CreateModelRequest(backend_id=backend.backend_id, model_name="built in"), **admin.auth
            )
            things["installation"] = {"backend_id": backend.backend_id, "model_id": model.model_id}
        ended = self.gone["installation"]
        await stub.DeleteModel(DeleteModelRequest(model_id=ended["model_id"]), **admin.auth)
        await stub.DeleteModelBackend(DeleteModelBackendRequest(backend_id=ended["backend_id"]), **admin.auth)
        self.things["installation"]["key"] = "signup_role"
        ended["key"] = "never_set"

    async def end_what_ends(self) -> None:
        """Archives, deletes, removes, shuts out; then everybody who may fetches a new token."""
        teacher = self.at["class teacher"]
        remove = RemoveMembershipRequest(
            class_id=self.made["C"].class_id, user_id=self.id_of("removed member")
        )
        await teacher.classes.RemoveMembership(remove, **teacher.auth)
        await teacher.classes.ArchiveClass(
            ArchiveClassRequest(class_id=self.made["archived"].class_id), **teacher.auth
        )
        await teacher.refresh()
        await teacher.classes.DeleteClass(
            DeleteClassRequest(class_id=self.made["deleted"].class_id), **teacher.auth
        )
        await self._delete_rows()
        staying = [
            person for name, person in self.at.items() if name not in {"deactivated", "deleted person"}
        ]
        await asyncio.gather(self.at["deactivated"].refresh(), *(person.refresh() for person in staying))
        await self._shut_out()

    def dataset(self) -> Dataset:
        """Everything that is known now."""
        classes = {name: made.class_id for name, made in self.made.items()}
        in_c = {"classes": {classes["C"]: STUDENT}}
        in_both = {**in_c, "archived": {classes["archived"]: STUDENT}}
        rights: dict[str, dict[str, Any]] = {
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
            "deactivated": {"role": "STUDENT", "shut_out": True, **in_c},
            "unassigned": {"role": "UNASSIGNED"},
        }
        personas = [
            Persona(name, self.id_of(name), self.at[name].tokens.access_token, **facts)
            for name, facts in rights.items()
        ]
        personas.append(Persona("anonymous"))
        return Dataset(
            personas=tuple(personas),
            places={persona.name: self._places(persona) for persona in personas},
            secrets={persona.name: self._secrets(persona) for persona in personas},
            installation=self.installation,
        )

    def id_of(self, name: str) -> str:
        """A person's id."""
        return self.at[name].tokens.user.user_id

    def _places(self, persona: Persona) -> Places:
        in_d = self.made["D"].class_id in persona.classes
        mine, theirs = ("D", "C") if in_d else ("C", "D")
        me = persona.name if persona.name in self.at else "owner"
        another = "classmate" if me == "owner" else "owner"
        return Places(
            own=self._place(me, mine),
            others=self._place(another, theirs),
            deleted=self._place("deleted person", "deleted") | self.gone["installation"],
            archived=self._place(me, "archived"),
            own_deleted=self._deleted(me, mine),
            others_deleted=self._deleted(another, theirs),
        )

    def _place(self, person: str, of_class: str) -> dict[str, str]:
        own = self.things.get(person) or self.things["owner"]
        return {
            **self.things["installation"],
            **own,
            **self.things[of_class],
            "user_id": self.id_of(person),
        }

    def _deleted(self, person: str, of_class: str) -> Place:
        own = self.gone.get(person) or self.gone["owner"]
        return {
            **self.gone["installation"],
            **own,
            **self.gone[of_class],
            "user_id": self.id_of("deleted person"),
            "class_id": self.made["deleted"].class_id,
        }

    def _secrets(self, persona: Persona) -> frozenset[str]:
        """An administrator sees who people are, and exports what is theirs; nobody else sees anything of others."""
        people = {name for name in (*LEARNERS, *TEACHERS, "admin") if name != persona.name}
        held = {*persona.classes, *persona.archived}
        classes = {name for name, made in self.made.items() if made.class_id not in held}
        seen = people if persona.role == "ADMIN" else set()
        return frozenset(map(mark, (people | classes) - seen))

    async def _chunk(self, material_id: str) -> str:
        """A passage of a material, whose id no RPC but an answer tells."""
        select = "SELECT chunk_id FROM material_chunks WHERE material_id = %s LIMIT 1"
        [row] = await sql(self.installation, "content", select, material_id)
        return str(row[0])

    async def _delete_rows(self) -> None:
        """Deletes what no RPC deletes yet."""
        own = [things for name, things in self.gone.items() if "chat_id" in things]
        for things in own:
            await sql(
                self.installation,
                "session",
                "UPDATE sessions SET deleted_at = now() WHERE session_id = %s",
                things["session_id"],
            )
            await sql(
                self.installation,
                "chat",
                "UPDATE chats SET deleted_at = now() WHERE chat_id = %s",
                things["chat_id"],
            )
        for things in self.gone.values():
            for name in ("content_id", "material_id"):
                if name in things:
                    await sql(
                        self.installation,
                        "content",
                        "UPDATE contents SET deleted_at = now() WHERE content_id = %s",
                        things[name],
                    )

    async def _shut_out(self) -> None:
        """Has an administrator take away what they take away."""
        admin = self.at["admin"]
        shut_out = DeactivateUserRequest(user_id=self.id_of("deactivated"))
        await admin.users.DeactivateUser(shut_out, **admin.auth)
        delete = DeleteUserRequest(user_id=self.id_of("deleted person"))
        await admin.users.DeleteUser(delete, **admin.auth)
        waiting = self.at["unassigned"]
        demote = SetGlobalRoleRequest(
            user_id=self.id_of("unassigned"), role=GlobalRole.GLOBAL_ROLE_UNASSIGNED
        )
        await admin.users.SetGlobalRole(demote, **admin.auth)
        await waiting.refresh()
        await self._until_everybody_knows()

    async def _until_everybody_knows(self) -> None:
        """What was taken away reaches every service within a second."""
        gone = self.at["deactivated"]
        user_id, class_id = self.id_of("deactivated"), self.made["C"].class_id
        for attempt in (
            partial(gone.users.GetUser, GetUserRequest(user_id=user_id), **gone.auth),
            partial(gone.contents.ListContents, ListContentsRequest(class_id=class_id), **gone.auth),
            partial(gone.sessions.ListSessions, ListSessionsRequest(user_id=user_id), **gone.auth),
            partial(gone.chats.ListChats, ListChatsRequest(user_id=user_id), **gone.auth),
        ):
            assert (await eventually_error(attempt)).reason == "TOKEN_REVOKED"


async def sql(installation: Installation, database: str, statement: str, *values: object) -> list[Any]:
    """Runs a statement on one of the databases of the stack."""
    url = Postgres(installation.layout.directory).url(database, SUPERUSER)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []
