"""A client of language models with an OpenAI-compatible chat completions API: vLLM, Ollama and providers.

The SDK of the provider is large and an optional dependency, so it is imported by the first client.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

_MAX_RETRIES = 1
# A chunk with one token has about 300 bytes. The limits leave room for tens of thousands of tokens of reasoning.
_MAX_RESPONSE_BYTES = 16 * 1024 * 1024
_MAX_EVENT_BYTES = 256 * 1024
# The SDK needs about 12 µs for a chunk. Models that send their reasoning separately send chunks without text.
_MAX_CHUNKS_WITHOUT_TEXT = 20_000
_COMPLETE_FINISH_REASONS = frozenset({"stop", "length"})
# Some newer models of OpenAI reject these parameters; most other models know only these names.
_PARAMETER_FALLBACKS = {"max_tokens": "max_completion_tokens", "temperature": None}

Role: TypeAlias = Literal["system", "user", "assistant"]


class ModelEndpoint(NamedTuple):
    """The address of a model and the parameters of its calls."""

    base_url: str
    model: str
    temperature: float = 0.2
    max_tokens: int = 1024
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    """Maximum wait for the next piece of output."""


class ChatMessage(NamedTuple):
    """A message of the prompt."""

    role: Role
    content: str


class ModelRequestFailed(Exception):
    """The model could not be reached, returned an error, or did not finish its output."""


class OpenAIClient:
    """Calls one model at one endpoint."""

    def __init__(
        self, endpoint: ModelEndpoint, *, key: str = "", private_hosts: frozenset[str] | None = None
    ) -> None:
        """`key` is empty if the endpoint requires none.

        If `private_hosts` is given, the client connects only to public addresses and to these hosts;
        otherwise it connects to any address. Raises ImportError without the extra `openai`.
        """
        import openai

        from chassis.models.http_client import create_http_client

        self._endpoint = endpoint
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=key or "none",
            timeout=openai.Timeout(endpoint.read_seconds, connect=endpoint.connect_seconds),
            max_retries=_MAX_RETRIES,
            http_client=create_http_client(
                max_bytes=_MAX_RESPONSE_BYTES, max_event_bytes=_MAX_EVENT_BYTES, private_hosts=private_hosts
            ),
        )
        self._params: dict[str, Any] = {
            "temperature": endpoint.temperature,
            "max_tokens": endpoint.max_tokens,
        }

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[str, None]:
        """Yields the output of the model in pieces.

        Raises ModelRequestFailed if the output is not complete, is invalid or exceeds a limit.
        """
        finish_reason = ""
        without_text = 0
        try:
            async with await self._create(_to_params(messages)) as chunks:
                async for chunk in chunks:
                    text, reason = _read_chunk(chunk)
                    finish_reason = reason or finish_reason
                    if text:
                        yield text
                        continue
                    without_text += 1
                    if without_text > _MAX_CHUNKS_WITHOUT_TEXT:
                        raise ModelRequestFailed("the model sends no text")
                    # Chunks that have already arrived are read without waiting, so other calls would have to wait.
                    await asyncio.sleep(0)
        except ModelRequestFailed:
            raise
        # The SDK also raises the errors of its HTTP client and its parsers, which have no common base class.
        except Exception as error:
            raise ModelRequestFailed(_describe(error)) from error
        if finish_reason not in _COMPLETE_FINISH_REASONS:
            is_filtered = finish_reason == "content_filter"
            raise ModelRequestFailed(
                "the model's output was filtered" if is_filtered else "the model's output is incomplete"
            )

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _create(
        self, messages: "list[ChatCompletionMessageParam]"
    ) -> "AsyncStream[ChatCompletionChunk]":
        """Starts a completion. Parameters that the model rejects are replaced for this and all later calls."""
        import openai

        while True:
            params = self._params
            try:
                chunks: AsyncStream[ChatCompletionChunk] = await self._client.chat.completions.create(
                    model=self._endpoint.model, messages=messages, stream=True, **params
                )
                return chunks
            except openai.BadRequestError as error:
                if error.param not in _PARAMETER_FALLBACKS or error.param not in params:
                    raise
                self._params = _with_fallback(params, error.param)


def _to_params(messages: Sequence[ChatMessage]) -> "list[ChatCompletionMessageParam]":
    params: list[ChatCompletionMessageParam] = []
    for role, content in messages:
        if role == "system":
            params.append({"role": "system", "content": content})
        elif role == "user":
            params.append({"role": "user", "content": content})
        else:
            params.append({"role": "assistant", "content": content})
    return params


def _read_chunk(chunk: "ChatCompletionChunk") -> tuple[str, str]:
    """Returns the text and the finish reason of a chunk. The SDK does not validate their types."""
    for choice in chunk.choices[:1]:
        text, reason = choice.delta.content or "", choice.finish_reason or ""
        if not isinstance(text, str) or not isinstance(reason, str):
            raise ModelRequestFailed("the model's output is invalid")
        return text, reason
    return "", ""


def _with_fallback(params: dict[str, Any], rejected: str) -> dict[str, Any]:
    """Returns the parameters with the rejected one renamed, or without it if it has no other name."""
    kept = {name: value for name, value in params.items() if name != rejected}
    fallback = _PARAMETER_FALLBACKS[rejected]
    return kept if fallback is None else {**kept, fallback: params[rejected]}


def _describe(error: BaseException) -> str:
    """Returns the types and HTTP status of an error, without its message, which may quote the prompt or the key."""
    status = getattr(error, "status_code", "")
    causes = " of " + _describe(error.__cause__) if error.__cause__ else ""
    return f"{type(error).__name__} {status}".strip() + causes
