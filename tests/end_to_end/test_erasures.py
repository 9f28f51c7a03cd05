"""Who was erased is named nowhere any more: in no database, no file, no log."""

import secrets
import subprocess
import uuid

import pytest
from google.protobuf.struct_pb2 import Struct

from chassis.testing import expect_error
from deploy.stack.layout import SERVICES, Layout
from deploy.stack.postgres import SUPERUSER, Postgres
from meno.chat.v1.chat_service_pb2 import AskRequest, CreateChatRequest
from meno.chat.v1.resources_pb2 import SourceMode
from meno.identity.v1.auth_service_pb2 import RequestOneTimeCodeRequest, SignInRequest, SignUpRequest
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from meno.identity.v1.resources_pb2 import User
from meno.identity.v1.user_service_pb2 import EraseUserRequest, UpdateUserRequest
from meno.session.v1.event_service_pb2 import AppendEventsRequest
from meno.session.v1.resources_pb2 import Event, EventKind, Goal
from meno.session.v1.session_service_pb2 import CreateSessionRequest
from tests.installation import Installation, new_id, wait_until_erased, wait_until_studied
from tests.people import Person

pytestmark = pytest.mark.timeout(600)


def _word() -> str:
    """A word that stands nowhere else."""
    return f"w{uuid.uuid4().hex[:16]}"


async def test_a_dump_of_everything_has_no_trace_of_who_was_erased(
    layout: Layout, installation: Installation
) -> None:
    name, email, said = _word(), f"{_word()}@example.org", _word()
    phone = f"+1{secrets.randbelow(10**10):010}"
    words = [name, email, phone, said]
    auth = AuthServiceStub(installation.channel)
    signing_up = SignUpRequest(
        login_name=name,
        display_name=name.title(),
        email=email,
        phone=phone,
        password=secrets.token_urlsafe(16),
        request_id=new_id(),
    )
    person = Person(installation.channel, await auth.SignUp(signing_up))
    teacher = await installation.sign_up_teacher()
    made = await installation.create_class(teacher)
    await installation.join_class(person, made)
    await _talk(person, made.class_id, said)
    for identifier in words[:3]:
        wrong = SignInRequest(identifier=identifier, password="not at all their password")
        assert (await expect_error(auth.SignIn(wrong))).reason == "CREDENTIALS_INVALID"
    for address in (email, phone):
        await auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address=address))
    await wait_until_studied(person)
    assert set(words) == _found(layout, words)

    erase = EraseUserRequest(user_id="me", confirmation="ERASE", request_id=new_id())
    await person.users.EraseUser(erase, **person.auth)
    admin = await installation.create_admin()
    await wait_until_erased(admin, person.tokens.user.user_id)
    assert _found(layout, words) == set()


async def _talk(person: Person, class_id: str, said: str) -> None:
    """Says it wherever one can."""
    user = User(full_name=said, nickname=said, school_name=said, about_me=said)
    update = UpdateUserRequest(user_id="me", user=user, request_id=new_id())
    update.update_mask.paths.extend(["full_name", "nickname", "school_name", "about_me"])
    await person.users.UpdateUser(update, **person.auth)
    begin = CreateSessionRequest(user_id="me", goal=Goal(text=said), request_id=new_id())
    session = await person.sessions.CreateSession(begin, **person.auth)
    payload = Struct()
    payload.update({"said": said})
    event = Event(client_event_id=new_id(), kind=EventKind.EVENT_KIND_CHECK, payload=payload)
    append = AppendEventsRequest(
        user_id="me", session_id=session.session_id, events=[event], request_id=new_id()
    )
    await person.events.AppendEvents(append, **person.auth)
    begin_chat = CreateChatRequest(
        user_id="me", source=SourceMode.SOURCE_MODE_CLASS, class_id=class_id, request_id=new_id()
    )
    chat = await person.chats.CreateChat(begin_chat, **person.auth)
    ask = AskRequest(user_id="me", chat_id=chat.chat_id, text=f"What is {said}?", request_id=new_id())
    async for _ in person.chats.Ask(ask, **person.auth):
        pass


def _found(layout: Layout, words: list[str]) -> set[str]:
    """Those of these words that stand somewhere: in a dump, a file or a log, whatever their case."""
    postgres = Postgres(layout.directory)
    texts = [
        subprocess.run(
            [postgres.tool("pg_dump")],
            env=postgres.environment(service.removesuffix("_service"), SUPERUSER),
            capture_output=True,
            check=True,
        ).stdout
        for service in SERVICES
    ]
    texts += [file.read_bytes() for file in layout.storage.rglob("*") if file.is_file()]
    # A local stack writes one-time codes to a log, for nothing here sends e-mail; no other line may tell.
    for log in (layout.directory / "logs").iterdir():
        texts += [line for line in log.read_bytes().splitlines() if b'"event": "one_time_code"' not in line]
    everything = b"\n".join(texts).lower()
    return {word for word in words if word.lower().encode() in everything}
