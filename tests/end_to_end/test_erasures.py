"""No database, file or log contains data of an erased user."""

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


def _unique_word() -> str:
    """Returns a word that no other data contains."""
    return f"w{uuid.uuid4().hex[:16]}"


async def test_databases_files_and_logs_contain_no_data_of_an_erased_user(
    layout: Layout, installation: Installation
) -> None:
    name, email, text = _unique_word(), f"{_unique_word()}@example.org", _unique_word()
    phone = f"+1{secrets.randbelow(10**10):010}"
    words = [name, email, phone, text]
    auth = AuthServiceStub(installation.channel)
    sign_up = SignUpRequest(
        login_name=name,
        display_name=name.title(),
        email=email,
        phone=phone,
        password=secrets.token_urlsafe(16),
        request_id=new_id(),
    )
    person = Person(installation.channel, await auth.SignUp(sign_up))
    teacher = await installation.sign_up_teacher()
    created_class = await installation.create_class(teacher)
    await installation.join_class(person, created_class)
    await _enter_text(person, created_class.class_id, text)
    for identifier in words[:3]:
        sign_in = SignInRequest(identifier=identifier, password="not the password of the user")
        assert (await expect_error(auth.SignIn(sign_in))).reason == "CREDENTIALS_INVALID"
    for address in (email, phone):
        await auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address=address))
    await wait_until_studied(person)
    assert set(words) == _find_words(layout, words)

    erase = EraseUserRequest(user_id="me", confirmation="ERASE", request_id=new_id())
    await person.users.EraseUser(erase, **person.auth)
    admin = await installation.create_admin()
    await wait_until_erased(admin, person.tokens.user.user_id)
    assert _find_words(layout, words) == set()


async def _enter_text(person: Person, class_id: str, text: str) -> None:
    """Enters a text in every field that a user can fill."""
    user = User(full_name=text, nickname=text, school_name=text, about_me=text)
    update = UpdateUserRequest(user_id="me", user=user, request_id=new_id())
    update.update_mask.paths.extend(["full_name", "nickname", "school_name", "about_me"])
    await person.users.UpdateUser(update, **person.auth)
    create = CreateSessionRequest(user_id="me", goal=Goal(text=text), request_id=new_id())
    session = await person.sessions.CreateSession(create, **person.auth)
    payload = Struct()
    payload.update({"text": text})
    event = Event(client_event_id=new_id(), kind=EventKind.EVENT_KIND_CHECK, payload=payload)
    append = AppendEventsRequest(
        user_id="me", session_id=session.session_id, events=[event], request_id=new_id()
    )
    await person.events.AppendEvents(append, **person.auth)
    create_chat = CreateChatRequest(
        user_id="me", source=SourceMode.SOURCE_MODE_CLASS, class_id=class_id, request_id=new_id()
    )
    chat = await person.chats.CreateChat(create_chat, **person.auth)
    ask = AskRequest(user_id="me", chat_id=chat.chat_id, text=f"What is {text}?", request_id=new_id())
    async for _ in person.chats.Ask(ask, **person.auth):
        pass


def _find_words(layout: Layout, words: list[str]) -> set[str]:
    """Returns the words that a dump, a file or a log contains, in any case."""
    postgres = Postgres(layout.directory)
    contents = [
        subprocess.run(
            [postgres.tool("pg_dump")],
            env=postgres.environment(service.removesuffix("_service"), SUPERUSER),
            capture_output=True,
            check=True,
        ).stdout
        for service in SERVICES
    ]
    contents += [file.read_bytes() for file in layout.storage.rglob("*") if file.is_file()]
    # A local stack logs one-time codes, because it sends no e-mail. No other line may contain the words.
    for log in (layout.directory / "logs").iterdir():
        contents += [
            line for line in log.read_bytes().splitlines() if b'"event": "one_time_code"' not in line
        ]
    searched = b"\n".join(contents).lower()
    return {word for word in words if word.lower().encode() in searched}
