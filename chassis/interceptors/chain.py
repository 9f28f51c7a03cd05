"""Builds the gRPC handler of an RPC: decode the request, pass the stages, call the servicer.

Read `Chain.handler` first. All three shapes of RPCs (unary, upload and stream) pass the same stages. An
AsyncExitStack closes the stages in reverse order, so that an outer stage sees the errors of the inner ones.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any, NamedTuple, TypeAlias

import grpc
from google.protobuf.message import Message

from chassis.calls import Call, Context
from chassis.contracts import Method
from chassis.errors import DomainError, StatusError
from chassis.idempotency import Replayed
from chassis.interceptors.decoding import decode, open_call, prepend
from chassis.interceptors.stages import CHAIN, CallContextManager, RequestHook
from chassis.interceptors.streams import StreamSender
from chassis.security import SecurityContext

UnaryRpc: TypeAlias = Callable[[Any, Context], Awaitable[Message]]
"""A servicer method with one response; its request is a message or, in an upload, an iterator of messages."""
StreamRpc: TypeAlias = Callable[[Any, Context], AsyncGenerator[Message, None]]
"""A servicer method with a stream of responses."""


class _PreparedStage(NamedTuple):
    """A stage as prepared for one RPC. Exactly one of the two is set."""

    before: RequestHook | None
    around: CallContextManager | None


class Chain:
    """The interceptor chain of one process."""

    def __init__(self, security: SecurityContext) -> None:
        self._security = security

    def handler(self, method: Method, rpc: Callable[..., Any]) -> "grpc.RpcMethodHandler[Any, Any]":
        """Returns the gRPC handler of a method. Its requests are bytes, which the chain decodes."""
        stages = self._prepare(method)
        serialize = method.response.SerializeToString
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(_stream(method, stages, rpc), None, serialize)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(_upload(method, stages, rpc), None, serialize)
        return grpc.unary_unary_rpc_method_handler(_unary(method, stages, rpc), None, serialize)

    def _prepare(self, method: Method) -> list[_PreparedStage]:
        """Returns the stages that the RPC needs, outermost first."""
        stages = (
            _PreparedStage(
                stage.before(self._security, method) if stage.before else None,
                stage.around(self._security, method) if stage.around else None,
            )
            for stage in CHAIN
        )
        return [stage for stage in stages if stage.before or stage.around]


def _unary(
    method: Method, stages: list[_PreparedStage], rpc: UnaryRpc
) -> Callable[[bytes, Context], Awaitable[Message | None]]:
    async def unary(raw: bytes, context: Context) -> Message | None:
        return await _reply(method, stages, raw, context, lambda request: rpc(request, context))

    return unary


def _upload(
    method: Method, stages: list[_PreparedStage], rpc: UnaryRpc
) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Message | None]]:
    async def upload(raws: AsyncIterator[bytes], context: Context) -> Message | None:
        def serve(first: Message) -> Awaitable[Message]:
            return rpc(prepend(method, first, raws), context)

        # The stages check the first message, the only one with identity fields and ids.
        return await _reply(method, stages, await anext(raws, b""), context, serve)

    return upload


def _stream(
    method: Method, stages: list[_PreparedStage], rpc: StreamRpc
) -> Callable[[bytes, Context], Awaitable[None]]:
    # A coroutine that writes, not a generator: a stream may be cancelled while a message is sent. gRPC sends the
    # messages of a generator outside of it, so that the cancellation would end the call without a status.
    async def stream(raw: bytes, context: Context) -> None:
        sender = StreamSender(method, context)
        try:
            call = open_call(method, context, raw)
            request = decode(method, raw)
            async with AsyncExitStack() as stack:
                await _enter(stages, stack, call, request)
                await stack.enter_async_context(sender.show_life())
                # Closed here, so that a cancelled stream releases what it holds at once.
                replies = await stack.enter_async_context(aclosing(rpc(request, context)))
                async for reply in replies:
                    await sender.send(reply)
        except (StatusError, DomainError) as error:
            # After the headers, JSON clients see no status: only a message can carry the error.
            if sender.has_begun and method.reports_errors:
                await sender.send(method.response(error=_status_error(error).status))
            await _abort(context, error)

    return stream


async def _reply(
    method: Method,
    stages: list[_PreparedStage],
    raw: bytes,
    context: Context,
    serve: Callable[[Message], Awaitable[Message]],
) -> Message | None:
    """Returns the response of a call, or aborts it with the status of its error."""
    try:
        call = open_call(method, context, raw)
        request = decode(method, raw)
        async with AsyncExitStack() as stack:
            await _enter(stages, stack, call, request)
            try:
                return await serve(request)
            except Replayed as replayed:
                return method.response.FromString(replayed.response)
    except (StatusError, DomainError) as error:
        await _abort(context, error)
    return None


async def _enter(stages: list[_PreparedStage], stack: AsyncExitStack, call: Call, request: Message) -> None:
    for before, around in stages:
        if before:
            await before(call, request)
        elif around:
            await stack.enter_async_context(around(call))


async def _abort(context: Context, error: StatusError | DomainError) -> None:
    status_error = _status_error(error)
    await context.abort(status_error.code, status_error.status.message, status_error.trailers())


def _status_error(error: StatusError | DomainError) -> StatusError:
    return error if isinstance(error, StatusError) else StatusError.of(error)
