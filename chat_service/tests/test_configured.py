"""The tutor that administrators choose: resolved over gRPC and called over HTTP."""

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
from chassis.models.openai_compatible import ModelEndpoint
from chassis.secret_refs import SecretUnavailable
from chassis.testing import TestEnvironment
from chassis.testing.model_server import ModelServer, model_server
from chassis.url_policy import UrlNotAllowed
from chat_service.settings import Settings
from chat_service.tests.conftest import NewServer, Server, collect, kinds, reason
from chat_service.tests.fake_identity import BUILTIN, ComponentNotConfigured, FakeIdentity, serve_identity
from chat_service.tutors import config, configured
from chat_service.tutors.config import TutorConfig
from chat_service.tutors.configured import ConfiguredTutor
from chat_service.tutors.extractive import NO_MATERIAL
from chat_service.tutors.language_model import LanguageModelTutor
from chat_service.tutors.types import ChatTurn, Passage
from meno.identity.v1.resources_pb2 import ModelProvider, ResolvedModel

KEY = "the-key-of-this-test"
OPENAI = ModelProvider.MODEL_PROVIDER_OPENAI


@pytest_asyncio.fixture
async def identity(env: TestEnvironment) -> AsyncIterator[FakeIdentity]:
    async with serve_identity(env) as running:
        yield running


@pytest_asyncio.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        running.respond("It is so.")
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
async def tutor(identity: FakeIdentity, model: ModelServer, tmp_path: Path) -> AsyncIterator[ConfiguredTutor]:
    host = model.url.removeprefix("http://").removesuffix("/v1")
    create_config = partial(config.from_model, settings=settings(tmp_path, host))
    configured_tutor = ConfiguredTutor(identity.resolve, create_config)
    yield configured_tutor
    await configured_tutor.close()


@pytest_asyncio.fixture
async def server(new_server: NewServer, tutor: ConfiguredTutor) -> Server:
    started: Server = await new_server(tutor)
    return started


async def ask(server: Server) -> str:
    """Asks in a new chat; returns the text of the answer, or the reason of its failure."""
    user = server.user()
    steps = await collect(server.ask(user, await server.chat(user)))
    return steps[-1].done.text if steps[-1].HasField("done") else reason(steps[-1])


def model_at(model: ModelServer, **fields: Any) -> ResolvedModel:
    """Returns a model whose endpoint is this server."""
    return ResolvedModel(
        **{"provider": OPENAI, "base_url": model.url, "model_name": "m", "max_output_tokens": 9, **fields}
    )


async def test_the_built_in_tutor_needs_no_model(server: Server, identity: FakeIdentity) -> None:
    assert await ask(server) == NO_MATERIAL
    assert identity.calls == 1


@pytest.mark.parametrize(
    ("provider", "path"),
    [("OPENAI", "/v1/chat"), ("ANTHROPIC", "/v1/chat"), ("GOOGLE", "/v1/openai/chat")],
)
async def test_every_provider_is_called_with_the_chosen_model_and_parameters(
    server: Server,
    identity: FakeIdentity,
    model: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    path: str,
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    chosen = {
        "model_name": "small",
        "temperature": 1.5,
        "max_output_tokens": 77,
        "key_reference": "env:SOME_KEY",
    }
    identity.response = model_at(model, provider=ModelProvider.Value(f"MODEL_PROVIDER_{provider}"), **chosen)
    assert await ask(server) == "It is so."
    [asked], [head] = model.requests, model.headers
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
def test_a_provider_without_a_base_url_has_its_public_address(
    tmp_path: Path, provider: str, address: str
) -> None:
    resolved = ResolvedModel(provider=ModelProvider.Value(f"MODEL_PROVIDER_{provider}"), model_name="m")
    endpoint = config.from_model(resolved, settings(tmp_path)).endpoint
    assert endpoint is not None
    assert endpoint.base_url == address


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"provider": 99}, UrlNotAllowed),
        ({"base_url": "http://localhost:11434/v1"}, UrlNotAllowed),
        ({"base_url": "https://169.254.169.254/v1"}, UrlNotAllowed),
        ({"key_reference": "env:MENO_SECRET"}, SecretUnavailable),
        ({"key_reference": "file:/etc/hostname"}, SecretUnavailable),
        ({"key_reference": "env:NOT_THERE"}, SecretUnavailable),
    ],
)
def test_forbidden_addresses_and_key_references_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], error: type[Exception]
) -> None:
    monkeypatch.setenv("MENO_SECRET", KEY)
    with pytest.raises(error):
        config.from_model(ResolvedModel(**{"provider": OPENAI, **fields}), settings(tmp_path))


def test_the_repr_of_a_config_does_not_contain_the_key() -> None:
    assert KEY not in repr(TutorConfig(ModelEndpoint("https://models.example", "m"), KEY))


async def test_questions_make_no_call_once_the_model_is_resolved(
    server: Server, identity: FakeIdentity
) -> None:
    await asyncio.gather(*(ask(server) for _ in range(10)))
    assert identity.calls == 1


async def test_concurrent_first_questions_share_one_call(
    tutor: ConfiguredTutor, identity: FakeIdentity
) -> None:
    identity.unblocked.clear()
    asking = [asyncio.create_task(answer_of(tutor)) for _ in range(10)]
    await identity.called.wait()
    identity.unblocked.set()
    assert await asyncio.gather(*asking) == [NO_MATERIAL] * 10
    assert identity.calls == 1


async def answer_of(tutor: ConfiguredTutor) -> str:
    return "".join([piece async for piece in tutor.answer("Why?", [], [])])


async def test_a_new_choice_takes_effect_with_the_next_refresh(
    server: Server, tutor: ConfiguredTutor, identity: FakeIdentity, model: ModelServer
) -> None:
    assert await ask(server) == NO_MATERIAL
    identity.response = model_at(model)
    assert await ask(server) == NO_MATERIAL
    await tutor.refresh()
    assert await ask(server) == "It is so."


async def test_the_choice_is_polled_and_a_failure_does_not_end_the_polling(
    tutor: ConfiguredTutor, identity: FakeIdentity
) -> None:
    polling = asyncio.create_task(tutor.keep_current(interval=0))
    for identity.response in (BUILTIN, ServiceUnavailable(), BUILTIN):
        asked = identity.calls
        while identity.calls < asked + 2:
            identity.called.clear()
            await identity.called.wait()
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    assert configured.POLL_INTERVAL_SECONDS + configured.TIMEOUT_SECONDS < 30


@pytest.mark.parametrize("error", [ServiceUnavailable(), AccessDenied(), RuntimeError("an internal detail")])
async def test_the_last_choice_stays_active_after_a_failure_and_without_one_the_answer_fails(
    server: Server, tutor: ConfiguredTutor, identity: FakeIdentity, model: ModelServer, error: Exception
) -> None:
    identity.response = error
    assert await ask(server) == "SERVICE_UNAVAILABLE"
    identity.response = model_at(model)
    assert await ask(server) == "It is so."
    identity.response = error
    with pytest.raises(ServiceUnavailable):
        await tutor.refresh()
    assert await ask(server) == "It is so."


async def test_no_tutor_replaces_a_tutor_that_is_not_configured(
    server: Server, tutor: ConfiguredTutor, identity: FakeIdentity, capfd: pytest.CaptureFixture[str]
) -> None:
    identity.response = ComponentNotConfigured()
    user = server.user()
    steps = await collect(server.ask(user, await server.chat(user)))
    assert (kinds(steps), reason(steps[-1])) == (["started", "error"], "COMPONENT_NOT_CONFIGURED")
    identity.response = BUILTIN
    await tutor.refresh()
    assert await ask(server) == NO_MATERIAL
    identity.response = ComponentNotConfigured()
    for _ in range(2):
        await tutor.refresh()
        assert await ask(server) == "COMPONENT_NOT_CONFIGURED"
    # One warning for each change to this state.
    assert capfd.readouterr().out.count("tutor_unavailable") == 2


async def test_a_tutor_without_a_readable_key_fails_its_answers_until_the_key_is_readable(
    server: Server,
    tutor: ConfiguredTutor,
    identity: FakeIdentity,
    model: ModelServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert await ask(server) == NO_MATERIAL
    identity.response = model_at(model, key_reference="file:openai")
    await tutor.refresh()
    assert await ask(server) == "MODEL_FAILED"
    assert "the referenced file does not exist" in capfd.readouterr().out
    for key in (KEY, f"{KEY}-changed"):
        (tmp_path / "openai").write_text(key)
        await tutor.refresh()
        assert await ask(server) == "It is so."
        assert f"Bearer {key}\r\n" in model.headers[-1]
    model.status, model.events = 401, [f'{{"error": {{"message": "not {KEY}"}}}}'.encode()]
    assert await ask(server) == "MODEL_FAILED"
    output = capfd.readouterr()
    assert KEY not in output.out + output.err


async def test_a_private_host_that_is_not_allow_listed_is_refused(
    server: Server, tutor: ConfiguredTutor, identity: FakeIdentity, model: ModelServer
) -> None:
    identity.response = model_at(model, base_url=model.url.replace("127.0.0.1", "localhost"))
    assert await ask(server) == "MODEL_FAILED"
    assert model.requests == []


class RecordingTutor(LanguageModelTutor):
    """A tutor that waits for the test and records its closing."""

    def __init__(self, closed: list[LanguageModelTutor]) -> None:
        super().__init__(ModelEndpoint("http://localhost:1", "m"))
        self.closed = closed
        self.resume = asyncio.Event()

    async def answer(
        self, question: str, history: Sequence[ChatTurn], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        yield "It "
        await self.resume.wait()
        yield "is so."

    async def close(self) -> None:
        self.closed.append(self)
        await super().close()


@dataclass(frozen=True)
class FixedConfig(TutorConfig):
    """The configuration of an existing tutor."""

    tutor: LanguageModelTutor | None = None

    def create(self) -> Any:
        return self.tutor


async def test_a_replaced_tutor_finishes_its_answers_and_is_then_closed(
    identity: FakeIdentity,
) -> None:
    closed: list[LanguageModelTutor] = []
    first, second = RecordingTutor(closed), RecordingTutor(closed)
    tutors = {"first": first, "second": second}
    tutor = ConfiguredTutor(identity.resolve, lambda model: FixedConfig(tutor=tutors[model.model_name]))
    identity.response = ResolvedModel(provider=OPENAI, model_name="first")
    async with aclosing(tutor.answer("Why?", [], [])) as pieces:
        assert await anext(pieces) == "It "
        await tutor.refresh()
        identity.response = ResolvedModel(provider=OPENAI, model_name="second")
        await tutor.refresh()
        assert closed == []
        first.resume.set()
        assert [piece async for piece in pieces] == ["is so."]
    assert closed == [first]
    second.resume.set()
    assert await answer_of(tutor) == "It is so."
    assert closed == [first]
    await tutor.close()
    assert closed == [first, second]
