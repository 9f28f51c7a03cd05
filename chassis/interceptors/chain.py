"""Builds the gRPC handler of an RPC: decode the request, pass the stages, call the servicer.

Read `Chain.handler` first. A chain is a handler that wraps another handler, from the innermost stage to the
outermost. Unary calls and streams have the same stages; a stream additionally closes its generators, so
that a cancelled stream releases what it holds at once.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message

from chassis.calls import Call, Context
from chassis.contracts import Method
from chassis.errors import DomainError, StatusError
from chassis.idempotency import Replayed
from chassis.interceptors.decoding import decode, open_call, prepend
from chassis.interceptors.stages import CHAIN, CallContextManager, RequestHook, Stage
from chassis.security import SecurityContext

Handler: TypeAlias = Callable[[Call, Message], Awaitable[Message]]
StreamHandler: TypeAlias = Callable[[Call, Message], AsyncGenerator[Message, None]]
Rpc: TypeAlias = Callable[[Any, Context], Any]
"""A method of a servicer: (request, context) → response; for streams, iterators of messages."""


class Chain:
    """The interceptor chain of one process."""

    def __init__(self, security: SecurityContext, stages: tuple[Stage, ...] = CHAIN) -> None:
        self._security = security
        self._stages = stages

    def handler(self, method: Method, rpc: Rpc) -> "grpc.RpcMethodHandler[Any, Any]":
        """Returns the gRPC handler of a method. Its requests are bytes, which the chain decodes."""
        serialize = method.response.SerializeToString
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, rpc), None, serialize)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(self._upload(method, rpc), None, serialize)
        return grpc.unary_unary_rpc_method_handler(self._unary(method, rpc), None, serialize)

    def _unary(self, method: Method, rpc: Rpc) -> Callable[[bytes, Context], Awaitable[Message | None]]:
        async def call_servicer(call: Call, message: Message) -> Message:
            try:
                reply: Message = await rpc(message, call.context)
                return reply
            except Replayed as replayed:
                return method.response.FromString(replayed.response)

        run: Handler = call_servicer
        for before, around in self._prepare(method):
            run = _run_before(before, run) if before else _run_around(around, run)

        async def unary(raw: bytes, context: Context) -> Message | None:
            try:
                call = open_call(method, context, raw)
                return await run(call, decode(method, raw))
            except (StatusError, DomainError) as error:
                await _abort(context, error)
                return None

        return unary

    def _upload(
        self, method: Method, rpc: Rpc
    ) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Message | None]]:
        async def upload(raws: AsyncIterator[bytes], context: Context) -> Message | None:
            async def call_servicer(first: Message, context: Context) -> Any:
                return await rpc(prepend(method, first, raws), context)

            # The stages check the first message, the only one with identity fields and ids.
            return await self._unary(method, call_servicer)(await anext(raws, b""), context)

        return upload

    def _stream(self, method: Method, rpc: Rpc) -> Callable[[bytes, Context], AsyncIterator[Message]]:
        run: StreamHandler = lambda call, message: rpc(message, call.context)  # noqa: E731
        for before, around in self._prepare(method):
            run = _stream_before(before, run) if before else _stream_around(around, run)

        async def stream(raw: bytes, context: Context) -> AsyncIterator[Message]:
            has_replied = False
            try:
                call = open_call(method, context, raw)
                async for reply in run(call, decode(method, raw)):
                    has_replied = True
                    yield reply
            except (StatusError, DomainError) as error:
                # After the first message, JSON clients see no status: only a message can carry the error.
                if has_replied and method.reports_errors:
                    yield method.response(error=_status_error(error).status)
                await _abort(context, error)

        return stream

    def _prepare(self, method: Method) -> Iterator[tuple[RequestHook | None, Any]]:
        """Yields the stages that the RPC needs, innermost first, as hook or context manager."""
        for stage in reversed(self._stages):
            before = stage.before(self._security, method) if stage.before else None
            around = stage.around(self._security, method) if stage.around else None
            if before or around:
                yield before, around


def _run_before(before: RequestHook, handler: Handler) -> Handler:
    async def run(call: Call, message: Message) -> Message:
        await before(call, message)
        return await handler(call, message)

    return run


def _run_around(around: CallContextManager, handler: Handler) -> Handler:
    async def run(call: Call, message: Message) -> Message:
        async with around(call):
            return await handler(call, message)

    return run


def _stream_before(before: RequestHook, handler: StreamHandler) -> StreamHandler:
    async def run(call: Call, message: Message) -> AsyncGenerator[Message, None]:
        await before(call, message)
        async with aclosing(handler(call, message)) as replies:
            async for reply in replies:
                yield reply

    return run


def _stream_around(around: CallContextManager, handler: StreamHandler) -> StreamHandler:
    async def run(call: Call, message: Message) -> AsyncGenerator[Message, None]:
        async with around(call), aclosing(handler(call, message)) as replies:
            async for reply in replies:
                yield reply

    return run


async def _abort(context: Context, error: StatusError | DomainError) -> None:
    status_error = _status_error(error)
    await context.abort(status_error.code, status_error.status.message, status_error.trailers())


def _status_error(error: StatusError | DomainError) -> StatusError:
    return error if isinstance(error, StatusError) else StatusError.of(error)
