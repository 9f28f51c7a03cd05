"""chat_service as it runs, on a database of the test's own, with a tutor that the test scripts."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import psycopg
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import ErrorInfo
from hypothesis import settings

from chassis.bell import Rung
from chassis.models.tutors import Passage, Tutor, Utterance
from chassis.testing import House, Served, bearer
from chat_service.app import under
from chat_service.content import Content, Metadata
from chat_service.settings import Settings
from meno.chat.v1.chat_service_pb2 import (
    AnswerStep,
    AskRequest,
    Chat,
    CreateChatRequest,
    ListMessagesRequest,
    Message,
    ResumeAnswerRequest,
    SourceMode,
    StopAnswerRequest,
)
from meno.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from meno.chat.v1.data_rights_service_pb2_grpc import DataRightsServiceStub
from meno.content.v1.content_service_pb2 import Content as Lesson
from meno.content.v1.content_service_pb2 import ContentKind, GetContentRequest
from meno.content.v1.knowledge_service_pb2 import SearchRequest, SearchResponse
from meno.content.v1.material_service_pb2 import Chunk

# A busy machine is not a fault of the rules.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

Line: TypeAlias = str | Exception | asyncio.Event
"""What a scripted tutor does next: says it, raises it, or waits for it."""

Close: TypeAlias = Callable[[], Awaitable[None]]
NewServer: TypeAlias = Callable[..., Any]


class ScriptedTutor:
    """A model, which is the edge of the system, that says what a test lets it say."""

    def __init__(self) -> None:
        self.script: Sequence[Line] = ["It is so."]
        self.asked: list[tuple[str, list[Utterance], list[Passage]]] = []

    async def answer(
        self, question: str, history: Sequence[Utterance], passages: Sequence[Passage]
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
class Library:
    """The edge towards content_service: what its two RPCs return, or raise."""

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
class Person:
    """Somebody who is signed in."""

    user_id: str
    auth: dict[str, Any]


class Server:
    """Stubs of a running chat_service, and what a test does with it all the time."""

    def __init__(
        self, house: House, served: Served, tutor: ScriptedTutor, library: Library, close: Close
    ) -> None:
        self.close = close
        self.tutor = tutor
        self.library = library
        self.stub = ChatServiceStub(served.channel())
        self.data_rights = DataRightsServiceStub(served.channel())
        self._house = house

    def person(self, *classes: str) -> Person:
        user_id = str(uuid.uuid4())
        return self.again(user_id, *classes)

    def again(self, user_id: str, *classes: str, rights_version: int = 0) -> Person:
        roles = dict.fromkeys(classes, "STUDENT")
        return Person(user_id, bearer(self._house.issuer.token(user_id, classes=roles, rv=rights_version)))

    def lose_rights(self, person: Person) -> None:
        self._house.feed.lose_rights(person.user_id, 1)

    async def chat(self, person: Person, class_id: str = "", content_id: str = "") -> Chat:
        source = "LESSON" if content_id else "CLASS" if class_id else "GENERAL"
        request = CreateChatRequest(
            user_id="me",
            source=SourceMode.Value(f"SOURCE_MODE_{source}"),
            class_id=class_id,
            content_id=content_id,
        )
        return await self.stub.CreateChat(request, **person.auth)

    def ask(self, person: Person, chat: Chat, text: str = "Why?", request_id: str = "") -> Any:
        request = AskRequest(user_id="me", chat_id=chat.chat_id, text=text, request_id=request_id)
        return self.stub.Ask(request, **person.auth)

    def resume(self, person: Person, chat: Chat, message_id: str, after_sequence: int = 0) -> Any:
        request = ResumeAnswerRequest(
            user_id="me", chat_id=chat.chat_id, message_id=message_id, after_sequence=after_sequence
        )
        return self.stub.ResumeAnswer(request, **person.auth)

    async def stop(self, person: Person, chat: Chat, message_id: str, request_id: str = "") -> Message:
        request = StopAnswerRequest(
            user_id="me", chat_id=chat.chat_id, message_id=message_id, request_id=request_id
        )
        return await self.stub.StopAnswer(request, **person.auth)

    async def messages(self, person: Person, chat: Chat, page_size: int = 0) -> list[Message]:
        """All pages of a chat's messages."""
        request = ListMessagesRequest(user_id="me", chat_id=chat.chat_id, page_size=page_size)
        found: list[Message] = []
        while True:
            page = await self.stub.ListMessages(request, **person.auth)
            found += page.messages
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


@asynccontextmanager
async def running(
    house: House, url: str, tutor: Tutor, library: Library, **settings: Any
) -> AsyncIterator[Served]:
    """Serves chat_service over a database."""
    values = {"secret": "a secret of this test, long enough", "tls_directory": Path(), "finish_seconds": 0}
    composed = Settings(database_url=url, **{**values, **settings})
    content = Content(library.get_content, library.search)
    async with (
        house.authority() as authority,
        under(authority, composed, tutor, content) as app,
        house.serve(app, "chat_service") as served,
    ):
        yield served


@pytest.fixture(autouse=True)
def only_rings_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listeners do not look by themselves, so that a ring which is forgotten shows."""
    monkeypatch.setattr(Rung.wait, "__defaults__", (3600.0,))


@pytest.fixture
def database_url(new_database: Callable[[str], str]) -> str:
    return new_database("chat_service")


@pytest_asyncio.fixture
async def new_server(house: House, database_url: str) -> AsyncIterator[NewServer]:
    """Starts servers over one database: replicas of each other."""
    async with AsyncExitStack() as stack:

        async def start(tutor: Any = None, **settings: Any) -> Server:
            library, tutor = Library(), tutor or ScriptedTutor()
            its_own = await stack.enter_async_context(AsyncExitStack())
            served = await its_own.enter_async_context(
                running(house, database_url, tutor, library, **settings)
            )
            return Server(house, served, tutor, library, its_own.aclose)

        yield start


@pytest_asyncio.fixture
async def server(new_server: NewServer) -> Server:
    """One server."""
    started: Server = await new_server()
    return started


async def collect(stream: Any) -> list[AnswerStep]:
    """Every step of a stream that is still to come, to its end."""
    steps = []
    while (step := await stream.read()) is not grpc.aio.EOF:
        steps.append(step)
    return steps


async def read(stream: Any, count: int) -> list[AnswerStep]:
    """The next steps of a stream."""
    return [await stream.read() for _ in range(count)]


def text_of(steps: Sequence[AnswerStep]) -> str:
    """What a reader of these steps has seen."""
    return "".join(step.text_delta for step in steps)


def kinds(steps: Sequence[AnswerStep]) -> list[str]:
    """What the steps are."""
    return [step.WhichOneof("step") or "" for step in steps]


def reason(step: AnswerStep) -> str:
    """Why a stream ended with an error."""
    [info] = [info for packed in step.error.details if packed.Unpack(info := ErrorInfo())]
    return str(info.reason)


def rpc_error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    """What a call to a peer raises."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


def chunk(text: str, **fields: Any) -> Chunk:
    """A passage of some material."""
    ids = {name: str(uuid.uuid4()) for name in ("class_id", "material_id", "revision_id", "chunk_id")}
    given = {
        **ids,
        "material_title": "Reader",
        "page": 3,
        "section": "One › Two",
        "char_start": 100,
        **fields,
    }
    return Chunk(text=text, char_end=given["char_start"] + len(text), **given)


def stored(url: str, query: str) -> list[Any]:
    """Looks into the database itself."""
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()
