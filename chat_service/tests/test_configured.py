"""The tutor that administrators choose: asked for over gRPC, and talked to over HTTP."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chassis.errors import AccessDenied, ServiceUnavailable
from chassis.models.addresses import AddressRefused
from chassis.models.extractive import NO_MATERIAL
from chassis.models.keys import KeyUnusable
from chassis.models.openai_compatible import Endpoint, OpenAITutor
from chassis.models.tutors import Passage, Utterance
from chassis.testing import House
from chassis.tests.model_server import ModelServer, model_server
from chat_service.settings import Settings
from chat_service.tests.administration import (
    BUILTIN,
    Administration,
    ComponentNotConfigured,
    administration,
)
from chat_service.tests.conftest import NewServer, Server, collect, kinds, reason
from chat_service.tutors import blueprints, configured
from chat_service.tutors.blueprints import Blueprint
from chat_service.tutors.configured import ConfiguredTutor
from meno.identity.v1.admin_service_pb2 import ModelProvider, ResolvedModel

KEY = "the-key-of-this-test"
OPENAI = ModelProvider.MODEL_PROVIDER_OPENAI


@pytest_asyncio.fixture
async def identity(house: House) -> AsyncIterator[Administration]:
    async with administration(house) as running:
        yield running


@pytest_asyncio.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        running.answers("It is so.")
        yield running


def settings(directory: Path, *private_hosts: str) -> Settings:
    return Settings(
        database_url="postgresql://",
        secret="a secret of this test, long enough",
        tls_directory=directory,
        key_directory=directory,
        private_model_hosts=frozenset(private_hosts),
    )


@pytest_asyncio.fixture
async def tutor(
    identity: Administration, model: ModelServer, tmp_path: Path
) -> AsyncIterator[ConfiguredTutor]:
    host = model.url.removeprefix("http://").removesuffix("/v1")
    plan = partial(blueprints.of_model, settings=settings(tmp_path, host))
    made = ConfiguredTutor(identity.resolve, plan)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def server(new_server: NewServer, tutor: ConfiguredTutor) -> Server:
    started: Server = await new_server(tutor)
    return started


async def ask(server: Server) -> str:
    """What a question in a chat of its own is answered, or why it is not."""
    person = server.person()
    steps = await collect(server.ask(person, await server.chat(person)))
    return steps[-1].done.text if steps[-1].HasField("done") else reason(steps[-1])


def at(model: ModelServer, **fields: Any) -> ResolvedModel:
    """A model at this server."""
    return ResolvedModel(
        **{"provider": OPENAI, "base_url": model.url, "model_name": "m", "max_output": 9, **fields}
    )


async def test_the_built_in_tutor_needs_no_model(server: Server, identity: Administration) -> None:
    assert await ask(server) == NO_MATERIAL
    assert identity.asked == 1


@pytest.mark.parametrize(
    ("provider", "path"),
    [("OPENAI", "/v1/chat"), ("ANTHROPIC", "/v1/chat"), ("GOOGLE", "/v1/openai/chat")],
)
async def test_every_provider_is_asked_with_what_was_chosen(
    server: Server,
    identity: Administration,
    model: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    path: str,
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    chosen = {"model_name": "small", "temperature": 1.5, "max_output": 77, "key_reference": "env:SOME_KEY"}
    identity.answer = at(model, provider=ModelProvider.Value(f"MODEL_PROVIDER_{provider}"), **chosen)
    assert await ask(server) == "It is so."
    [asked], [head] = model.asked, model.headers
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("small", 1.5, 77)
    assert head.startswith(f"POST {path}/completions")
    assert f"Bearer {KEY}\r\n" in head


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        ("OPENAI", "https://api.openai.com/v1"),
        ("ANTHROPIC", "https://api.anthropic.com/v1"),
        ("GOOGLE", "https://generativelanguage.googleapis.com/v1beta/openai"),
    ],
)
def test_a_provider_without_an_address_is_where_it_is(tmp_path: Path, provider: str, address: str) -> None:
    resolved = ResolvedModel(provider=ModelProvider.Value(f"MODEL_PROVIDER_{provider}"), model_name="m")
    endpoint = blueprints.of_model(resolved, settings(tmp_path)).endpoint
    assert endpoint is not None
    assert endpoint.base_url == address


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"provider": 99}, AddressRefused),
        ({"base_url": "http://localhost:11434/v1"}, AddressRefused),
        ({"base_url": "https://169.254.169.254/v1"}, AddressRefused),
        ({"key_reference": "env:MENO_SECRET"}, KeyUnusable),
        ({"key_reference": "file:/etc/hostname"}, KeyUnusable),
        ({"key_reference": "env:NOT_THERE"}, KeyUnusable),
    ],
)
def test_what_may_be_referred_to_is_decided_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], error: type[Exception]
) -> None:
    monkeypatch.setenv("MENO_SECRET", KEY)
    with pytest.raises(error):
        blueprints.of_model(ResolvedModel(**{"provider": OPENAI, **fields}), settings(tmp_path))


def test_a_blueprint_does_not_show_its_key() -> None:
    assert KEY not in repr(Blueprint(Endpoint("https://models.example", "m"), KEY))


async def test_questions_make_no_call_once_the_choice_is_known(
    server: Server, identity: Administration
) -> None:
    await asyncio.gather(*(ask(server) for _ in range(10)))
    assert identity.asked == 1


async def test_questions_of_the_first_moment_share_one_call(
    tutor: ConfiguredTutor, identity: Administration
) -> None:
    identity.waits.clear()
    asking = [asyncio.create_task(said(tutor)) for _ in range(10)]
    await identity.heard.wait()
    identity.waits.set()
    assert await asyncio.gather(*asking) == [NO_MATERIAL] * 10
    assert identity.asked == 1


async def said(tutor: ConfiguredTutor) -> str:
    return "".join([piece async for piece in tutor.answer("Why?", [], [])])


async def test_another_choice_holds_from_the_next_look_on(
    server: Server, tutor: ConfiguredTutor, identity: Administration, model: ModelServer
) -> None:
    assert await ask(server) == NO_MATERIAL
    identity.answer = at(model)
    assert await ask(server) == NO_MATERIAL
    await tutor.look()
    assert await ask(server) == "It is so."


async def test_the_choice_is_looked_for_all_the_time_and_a_failure_does_not_end_that(
    tutor: ConfiguredTutor, identity: Administration
) -> None:
    looking = asyncio.create_task(tutor.keep_current(every=0))
    for identity.answer in (BUILTIN, ServiceUnavailable(), BUILTIN):
        asked = identity.asked
        while identity.asked < asked + 2:
            identity.heard.clear()
            await identity.heard.wait()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert configured.LOOK_EVERY + configured.TIMEOUT < 30


@pytest.mark.parametrize("error", [ServiceUnavailable(), AccessDenied(), RuntimeError("a fault of theirs")])
async def test_while_nobody_tells_the_choice_the_last_one_holds_and_without_one_the_answer_fails(
    server: Server, tutor: ConfiguredTutor, identity: Administration, model: ModelServer, error: Exception
) -> None:
    identity.answer = error
    assert await ask(server) == "SERVICE_UNAVAILABLE"
    identity.answer = at(model)
    assert await ask(server) == "It is so."
    identity.answer = error
    with pytest.raises(ServiceUnavailable):
        await tutor.look()
    assert await ask(server) == "It is so."


async def test_nothing_takes_the_place_of_a_tutor_that_is_not_configured(
    server: Server, tutor: ConfiguredTutor, identity: Administration, capfd: pytest.CaptureFixture[str]
) -> None:
    identity.answer = ComponentNotConfigured()
    person = server.person()
    steps = await collect(server.ask(person, await server.chat(person)))
    assert (kinds(steps), reason(steps[-1])) == (["begun", "error"], "COMPONENT_NOT_CONFIGURED")
    identity.answer = BUILTIN
    await tutor.look()
    assert await ask(server) == NO_MATERIAL
    identity.answer = ComponentNotConfigured()
    for _ in range(2):
        await tutor.look()
        assert await ask(server) == "COMPONENT_NOT_CONFIGURED"
    # Once for each time that it began.
    assert capfd.readouterr().out.count("tutor_unable") == 2


async def test_a_tutor_that_cannot_be_made_fails_its_answers_until_it_can(
    server: Server,
    tutor: ConfiguredTutor,
    identity: Administration,
    model: ModelServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert await ask(server) == NO_MATERIAL
    identity.answer = at(model, key_reference="file:openai")
    await tutor.look()
    assert await ask(server) == "MODEL_FAILED"
    assert "there is no such file" in capfd.readouterr().out
    for key in (KEY, f"{KEY}-changed"):
        (tmp_path / "openai").write_text(key)
        await tutor.look()
        assert await ask(server) == "It is so."
        assert f"Bearer {key}\r\n" in model.headers[-1]
    model.status, model.events = 401, [f'{{"error": {{"message": "not {KEY}"}}}}'.encode()]
    assert await ask(server) == "MODEL_FAILED"
    shown = capfd.readouterr()
    assert KEY not in shown.out + shown.err


async def test_a_host_inside_is_refused_where_the_model_is_asked(
    server: Server, tutor: ConfiguredTutor, identity: Administration, model: ModelServer
) -> None:
    identity.answer = at(model, base_url=model.url.replace("127.0.0.1", "localhost"))
    assert await ask(server) == "MODEL_FAILED"
    assert model.asked == []


class Closing(OpenAITutor):
    """A tutor that speaks when it is let, and tells when it is closed."""

    def __init__(self, closed: list[OpenAITutor]) -> None:
        super().__init__(Endpoint("http://localhost:1", "m"))
        self.closed = closed
        self.go_on = asyncio.Event()

    async def answer(
        self, question: str, history: Sequence[Utterance], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        yield "It "
        await self.go_on.wait()
        yield "is so."

    async def close(self) -> None:
        self.closed.append(self)
        await super().close()


@dataclass(frozen=True)
class Made(Blueprint):
    """Of a tutor that is made already."""

    tutor: OpenAITutor | None = None

    def make(self) -> Any:
        return self.tutor


async def test_a_tutor_that_was_replaced_ends_its_answers_and_is_closed_then(
    identity: Administration,
) -> None:
    closed: list[OpenAITutor] = []
    first, second = Closing(closed), Closing(closed)
    tutors = {"first": first, "second": second}
    tutor = ConfiguredTutor(identity.resolve, lambda model: Made(tutor=tutors[model.model_name]))
    identity.answer = ResolvedModel(provider=OPENAI, model_name="first")
    async with aclosing(tutor.answer("Why?", [], [])) as pieces:
        assert await anext(pieces) == "It "
        await tutor.look()
        identity.answer = ResolvedModel(provider=OPENAI, model_name="second")
        await tutor.look()
        assert closed == []
        first.go_on.set()
        assert [piece async for piece in pieces] == ["is so."]
    assert closed == [first]
    second.go_on.set()
    assert await said(tutor) == "It is so."
    assert closed == [first]
    await tutor.close()
    assert closed == [first, second]
