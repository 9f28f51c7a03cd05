"""The client of OpenAI-compatible models, against a local server with the same wire format."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from chassis.models import openai_compatible
from chassis.models.openai_compatible import ChatMessage, ModelEndpoint, ModelRequestFailed, OpenAIClient
from chassis.testing.model_server import DONE, ModelServer, model_server, text_event

PROMPT = [
    ChatMessage("system", "Answer briefly."),
    ChatMessage("user", "Hello"),
    ChatMessage("assistant", "Hello."),
    ChatMessage("user", "Why?"),
]


@pytest_asyncio.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


async def ask(model: ModelServer, read_seconds: float = 5, **options: Any) -> list[str]:
    client = OpenAIClient(ModelEndpoint(model.url, "small", read_seconds=read_seconds), **options)
    try:
        return [piece async for piece in client.stream(PROMPT)]
    finally:
        await client.close()


async def test_the_output_is_streamed_in_pieces(model: ModelServer) -> None:
    model.respond("It ", "boils [1].")
    assert await ask(model) == ["It ", "boils [1]."]


async def test_the_request_contains_the_messages_and_the_parameters(model: ModelServer) -> None:
    model.respond("So.")
    await ask(model)
    [body] = model.requests
    assert body["messages"] == [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Why?"},
    ]
    assert (body["model"], body["stream"], body["temperature"], body["max_tokens"]) == (
        "small",
        True,
        0.2,
        1024,
    )


async def test_the_key_is_sent_to_the_endpoint_and_occurs_in_no_error_or_log(
    model: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    model.status = 401
    model.events = [b'{"error": {"message": "Incorrect API key provided: the-key", "code": "the-key"}}']
    with caplog.at_level("DEBUG"), pytest.raises(ModelRequestFailed) as error:
        await ask(model, key="the-key")
    assert "Bearer the-key\r\n" in model.headers[0]
    assert str(error.value) == "AuthenticationError 401"
    assert "the-key" not in caplog.text


async def test_parameters_that_the_model_rejects_are_replaced_in_all_later_calls(
    model: ModelServer,
) -> None:
    model.rejected_parameters = {"max_tokens", "temperature"}
    model.respond("So.")
    client = OpenAIClient(ModelEndpoint(model.url, "small", max_tokens=7))
    for _ in range(2):
        assert [piece async for piece in client.stream(PROMPT)] == ["So."]
    await client.close()
    sent = [{*body} & {"max_tokens", "max_completion_tokens", "temperature"} for body in model.requests]
    assert sent[-2:] == [{"max_completion_tokens"}] * 2
    assert (len(sent), model.requests[-1]["max_completion_tokens"]) == (4, 7)


async def test_private_addresses_are_refused_unless_they_are_allow_listed(model: ModelServer) -> None:
    model.respond("So.")
    host = model.url.removeprefix("http://").removesuffix("/v1")
    assert await ask(model, private_hosts=frozenset({host})) == ["So."]
    with pytest.raises(ModelRequestFailed, match="PrivateAddressError"):
        await ask(model, private_hosts=frozenset())
    assert len(model.requests) == 1


async def test_redirects_are_not_followed(model: ModelServer) -> None:
    model.status, model.location = 307, model.url
    host = model.url.removeprefix("http://").removesuffix("/v1")
    with pytest.raises(ModelRequestFailed, match="307"):
        await ask(model, private_hosts=frozenset({host}))
    assert len(model.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_an_error_response_fails_the_request(model: ModelServer, status: int) -> None:
    model.status, model.events = status, [b'{"error": {"message": "no"}}']
    with pytest.raises(ModelRequestFailed):
        await ask(model)
    assert len(model.requests) <= 2


async def test_an_unreachable_endpoint_fails_the_request() -> None:
    with pytest.raises(ModelRequestFailed):
        await ask(ModelServer(url="http://127.0.0.1:1/v1"))


@pytest.mark.parametrize("events", [[], [text_event("It is")]], ids=["immediately", "after output"])
async def test_a_model_that_sends_nothing_more_fails_the_request(
    model: ModelServer, events: list[bytes]
) -> None:
    model.events, model.hang = events, True
    with pytest.raises(ModelRequestFailed):
        await ask(model, read_seconds=0.1)


@pytest.mark.parametrize(
    "events",
    [
        [text_event("It is")],
        [text_event("It is"), DONE],
        [text_event("It is"), text_event("", "content_filter"), DONE],
        [text_event("It is"), b"data: {nonsense\n\n"],
        [text_event("It is"), b'data: {"error": {"message": "overloaded"}}\n\n'],
    ],
    ids=["end", "no reason", "filtered", "nonsense", "error"],
)
@pytest.mark.parametrize("cut", [False, True])
async def test_an_incomplete_stream_fails_the_request_after_its_output(
    model: ModelServer, events: list[bytes], cut: bool
) -> None:
    model.events, model.cut = events, cut
    client = OpenAIClient(ModelEndpoint(model.url, "small", read_seconds=60))
    pieces = []
    with pytest.raises(ModelRequestFailed):
        async for piece in client.stream(PROMPT):
            pieces.append(piece)  # a comprehension would lose the pieces before the failure
    await client.close()
    assert pieces == ["It is"]


async def test_output_that_ends_at_max_tokens_is_complete(model: ModelServer) -> None:
    model.events = [text_event("It is"), text_event("", "length"), DONE]
    assert await ask(model) == ["It is"]


def event(**delta: object) -> bytes:
    """Returns a server-sent event with these fields of the delta, of any type."""
    body = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def pieces_of(data: bytes, size: int = 64 * 1024) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


ENDLESS = {
    "a line": [b"data: ", *[b"x" * 64 * 1024] * 8],
    "lines of one event": pieces_of(b"data: x\n" * 64 * 1024),
    "lines with CR": pieces_of(b"data: x\r" * 64 * 1024),
    "a comment": [b":", *[b"x" * 64 * 1024] * 8],
    "events": [b": " + b"x" * 64 * 1024 + b"\n\n"] * 300,
    "chunks without text": [event() * 1000] * 3,
    "chunks without a choice": [b'data: {"choices":[]}\n\n' * 1000] * 3,
}


@pytest.mark.parametrize("events", ENDLESS.values(), ids=ENDLESS)
async def test_an_endless_response_fails_the_request(
    model: ModelServer, events: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real number takes seconds to parse.
    monkeypatch.setattr(openai_compatible, "_MAX_CHUNKS_WITHOUT_TEXT", 2000)
    # The server then waits: without a limit, the test would end with the read timeout.
    model.events, model.hang = [text_event("It is"), *events], True
    client = OpenAIClient(ModelEndpoint(model.url, "small", read_seconds=600))
    pieces = []
    with pytest.raises(ModelRequestFailed, match=r"^(ResponseTooLarge|the model sends no text)$"):
        async for piece in client.stream(PROMPT):
            pieces.append(piece)
    await client.close()
    assert pieces == ["It is"]


@pytest.mark.parametrize("status", [200, 400])
async def test_an_endless_response_that_is_no_stream_fails_the_request(
    model: ModelServer, status: int
) -> None:
    model.status, model.events, model.hang = status, [b"x" * 64 * 1024] * 8, True
    with pytest.raises(ModelRequestFailed):
        await ask(model, read_seconds=600)


async def test_a_compressed_response_fails_the_request(model: ModelServer) -> None:
    model.encoding = "gzip"
    model.events = [gzip.compress(text_event("It is") * 100_000), DONE]
    with pytest.raises(ModelRequestFailed):
        await ask(model)
    assert "accept-encoding: identity\r\n" in model.headers[0].lower()


async def test_long_output_within_the_limits_is_complete(model: ModelServer) -> None:
    pieces = ["x" * 200_000, *["so "] * 3_000]
    reasoning = [event(reasoning_content="hm")] * 5_000
    model.events = [*reasoning, *map(text_event, pieces), text_event("", "stop"), DONE]
    assert await ask(model) == pieces


@pytest.mark.parametrize("content", [7, ["It is"], {"text": "It is"}], ids=["number", "list", "object"])
async def test_output_that_is_no_text_fails_the_request(model: ModelServer, content: object) -> None:
    model.events = [event(content=content), text_event("", "stop"), DONE]
    with pytest.raises(ModelRequestFailed, match="invalid"):
        await ask(model)


async def test_a_finish_reason_that_is_no_text_fails_the_request(model: ModelServer) -> None:
    model.events = [
        b'data: {"choices": [{"delta": {"content": "So."}, "finish_reason": ["stop"]}]}\n\n',
        DONE,
    ]
    with pytest.raises(ModelRequestFailed, match="invalid"):
        await ask(model)
