"""Runs chat_service on a separate database for each test, with a scripted tutor."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import ErrorInfo

from chassis.testing import MAX_CONNECTIONS, RunningService, TestEnvironment, bearer, read_pages
from chat_service.app import build_app
from chat_service.content import Content, Metadata
from chat_service.settings import Settings
from chat_service.tutors.types import ChatTurn, Passage, Tutor
from meno.chat.v1.chat_service_pb2 import (
    AskRequest,
    CreateChatRequest,
    ListMessagesRequest,
    ResumeAnswerRequest,
    StopAnswerRequest,
)
from meno.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from meno.chat.v1.data_rights_service_pb2_grpc import DataRightsServiceStub
from meno.chat.v1.resources_pb2 import AnswerStep, Chat, Message, SourceMode
from meno.content.v1.content_service_pb2 import GetContentRequest
from meno.content.v1.knowledge_service_pb2 import SearchRequest, SearchResponse
from meno.content.v1.resources_pb2 import Chunk, ContentKind
from meno.content.v1.resources_pb2 import Content as Lesson

Line: TypeAlias = str | Exception | asyncio.Event
"""An action of a scripted tutor: yields the text, raises the error, or waits for the event."""

Close: TypeAlias = Callable[[], Awaitable[None]]
NewServer: TypeAlias = Callable[..., Any]


class ScriptedTutor:
    """A tutor that runs a script of the test instead of a model."""

    def __init__(self) -> None:
        self.script: Sequence[Line] = ["It is so."]
        self.asked: list[tuple[str, list[ChatTurn], list[Passage]]] = []

    async def answer(
        self, question: str, history: Sequence[ChatTurn], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        self.asked.append((question, [*history], [*passages]))
        for line in self.script:
            if isinstance(line, asyncio.Event):
                await line.wait()
            elif isinstance(line, Exception):
                raise line
            else:
                yield line


@dataclass
class FakeContent:
    """A fake client of content_service: its two RPCs return or raise what a test sets."""

    chunks: list[Chunk] = field(default_factory=list)
    lesson: Lesson = field(
        default_factory=lambda: Lesson(kind=ContentKind.CONTENT_KIND_LESSON, title="Loops")
    )
    error: Exception | None = None
    searches: list[tuple[SearchRequest, Metadata]] = field(default_factory=list)

    async def search(
        self, request: SearchRequest, *, timeout: float | None = None, metadata: Metadata | None = None
    ) -> SearchResponse:
        self.searches.append((request, metadata or ()))
        if self.error is not None:
            raise self.error
        return SearchResponse(chunks=self.chunks)

    async def get_content(
        self, request: GetContentRequest, *, timeout: float | None = None, metadata: Metadata | None = None
    ) -> Lesson:
        if self.error is not None:
            raise self.error
        return self.lesson


@dataclass
class User:
    """A signed-in user."""

    user_id: str
    auth: dict[str, Any]


class Server:
    """Stubs of a running chat_service, and calls that tests repeat."""

    def __init__(
        self,
        env: TestEnvironment,
        served: RunningService,
        tutor: ScriptedTutor,
        content: FakeContent,
        close: Close,
    ) -> None:
        self.close = close
        self.tutor = tutor
        self.content = content
        self.stub = ChatServiceStub(served.channel())
        self.data_rights = DataRightsServiceStub(served.channel())
        self._env = env

    def user(self, *classes: str) -> User:
        user_id = str(uuid.uuid4())
        return self.sign_in(user_id, *classes)

    def guest(self) -> User:
        user_id = str(uuid.uuid4())
        return User(user_id, bearer(self._env.issuer.token(user_id, guest=True)))

    def sign_in(
        self, user_id: str, *classes: str, archived: Sequence[str] = (), rights_version: int = 0
    ) -> User:
        roles, archived_roles = (dict.fromkeys(ids, "STUDENT") for ids in (classes, archived))
        token = self._env.issuer.token(user_id, classes=roles, archived=archived_roles, rv=rights_version)
        return User(user_id, bearer(token))

    def revoke_tokens(self, user: User) -> None:
        self._env.feed.revoke_tokens(user.user_id, 1)

    async def chat(self, user: User, class_id: str = "", content_id: str = "") -> Chat:
        source = "LESSON" if content_id else "CLASS" if class_id else "GENERAL"
        request = CreateChatRequest(
            user_id="me",
            source=SourceMode.Value(f"SOURCE_MODE_{source}"),
            class_id=class_id,
            content_id=content_id,
        )
        return await self.stub.CreateChat(request, **user.auth)

    def ask(self, user: User, chat: Chat, text: str = "Why?", request_id: str = "") -> Any:
        request = AskRequest(user_id="me", chat_id=chat.chat_id, text=text, request_id=request_id)
        return self.stub.Ask(request, **user.auth)

    def resume(self, user: User, chat: Chat, message_id: str, after_sequence: int = 0) -> Any:
        request = ResumeAnswerRequest(
            user_id="me", chat_id=chat.chat_id, message_id=message_id, after_sequence=after_sequence
        )
        return self.stub.ResumeAnswer(request, **user.auth)

    async def stop(self, user: User, chat: Chat, message_id: str, request_id: str = "") -> Message:
        request = StopAnswerRequest(
            user_id="me", chat_id=chat.chat_id, message_id=message_id, request_id=request_id
        )
        return await self.stub.StopAnswer(request, **user.auth)

    async def messages(self, user: User, chat: Chat, page_size: int = 0) -> list[Message]:
        """Returns all pages of the messages of a chat."""
        request = ListMessagesRequest(user_id="me", chat_id=chat.chat_id, page_size=page_size)
        pages = read_pages(self.stub.ListMessages, request, **user.auth)
        return [message async for page in pages for message in page.messages]


@asynccontextmanager
async def serving(
    env: TestEnvironment, url: str, tutor: Tutor, fake_content: FakeContent, **settings: Any
) -> AsyncIterator[RunningService]:
    """Runs chat_service on a database."""
    values = {"secret": "a secret of this test, long enough", "tls_directory": Path(), "finish_seconds": 0}
    composed = Settings(database_url=url, max_connections=MAX_CONNECTIONS, **{**values, **settings})
    client = Content(fake_content.get_content, fake_content.search)
    async with (
        env.identity_client() as identity,
        build_app(identity, composed, tutor, client) as app,
        env.serve(app, "chat_service") as served,
    ):
        yield served


@pytest.fixture(autouse=True)
def only_notifications(without_polling: None) -> None:
    """Makes every test fail if a notification is missing."""


@pytest.fixture
def database_url(new_database: Callable[[str], str]) -> str:
    return new_database("chat_service")


@pytest_asyncio.fixture
async def new_server(env: TestEnvironment, database_url: str) -> AsyncIterator[NewServer]:
    """Starts servers on one database, which are replicas of each other."""
    async with AsyncExitStack() as stack:

        async def start(tutor: Any = None, **settings: Any) -> Server:
            content, tutor = FakeContent(), tutor or ScriptedTutor()
            own_stack = await stack.enter_async_context(AsyncExitStack())
            served = await own_stack.enter_async_context(
                serving(env, database_url, tutor, content, **settings)
            )
            return Server(env, served, tutor, content, own_stack.aclose)

        yield start


@pytest_asyncio.fixture
async def server(new_server: NewServer) -> Server:
    """A single server."""
    started: Server = await new_server()
    return started


async def collect(stream: Any) -> list[AnswerStep]:
    """Returns the remaining steps of a stream."""
    steps = []
    while (step := await stream.read()) is not grpc.aio.EOF:
        steps.append(step)
    return steps


async def read(stream: Any, count: int) -> list[AnswerStep]:
    """Returns the next steps of a stream."""
    return [await stream.read() for _ in range(count)]


def text_of(steps: Sequence[AnswerStep]) -> str:
    """Returns the text that the reader of these steps has received."""
    return "".join(step.text_delta for step in steps)


def kinds(steps: Sequence[AnswerStep]) -> list[str]:
    """Returns the kinds of the steps."""
    return [step.WhichOneof("step") or "" for step in steps]


def reason(step: AnswerStep) -> str:
    """Returns the reason of an error step."""
    [info] = [info for packed in step.error.details if packed.Unpack(info := ErrorInfo())]
    return str(info.reason)


def rpc_error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    """Returns the error that a failed call to another service raises."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


def chunk(text: str, **fields: Any) -> Chunk:
    """Returns a chunk of material."""
    ids = {name: str(uuid.uuid4()) for name in ("class_id", "material_id", "revision_id", "chunk_id")}
    values = {
        **ids,
        "material_title": "Reader",
        "page": 3,
        "section": "One › Two",
        "char_start": 100,
        **fields,
    }
    return Chunk(text=text, char_end=values["char_start"] + len(text), **values)
