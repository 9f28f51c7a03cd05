"""The chain that every call passes, as data.

Each stage has a name, does one thing, and stands where it stands for a reason. A stage is
prepared once for each RPC and left out where the RPC has no need of it.
"""

import asyncio
import re
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from chassis import calls, idempotency, ids
from chassis.access import Access
from chassis.calls import Call, Claim, Context
from chassis.contracts import Method
from chassis.errors import (
    AccessDenied,
    Internal,
    MessageTooLarge,
    Refused,
    RequestMalformed,
    refusal,
)
from chassis.idempotency import Replayed
from chassis.rights import Rights
from chassis.tokens import Tokens
from chassis.validation import refuse_nul, validate

DEFAULT_DEADLINE = 30.0
"""Seconds that a unary call may take when its caller sets no deadline."""
UPLOAD_DEADLINE = 600.0
"""Seconds that an upload may take."""
SLOW = 0.3
"""Seconds after which a call is worth a line in the log."""
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_REQUEST_ID = 128

# W3C Trace Context: version, trace, span, flags; a version 255, a trace and a span of zeros mean nothing.
_TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

log = structlog.get_logger()


@dataclass(frozen=True)
class Guard:
    """What the stages judge a call by."""

    tokens: Tokens
    rights: Rights
    secret: bytes = field(repr=False)
    """Keys the digests by which repeated requests are compared."""


Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Before: TypeAlias = Callable[[Call, Any], Awaitable[None]]
Around: TypeAlias = Callable[[Call], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True)
class Stage:
    """One link of the chain: what runs before the rest of it, or around."""

    name: str
    before: Callable[[Guard, Method], Before | None] | None = None
    around: Callable[[Guard, Method], Around | None] | None = None


def authentication(guard: Guard, method: Method) -> Before | None:
    """Finds out who calls, from the token alone."""
    access = Access(method)
    if not access.takes_token:
        return None

    async def authenticate(call: Call, message: Message) -> None:
        if call.authorization or access.needs_token:
            call.caller = await guard.tokens.caller(call.authorization)
            guard.rights.check(call.caller)

    return authenticate


def access(guard: Guard, method: Method) -> Before:
    """Lets in whom the contract lets in."""
    rule = Access(method)

    async def check(call: Call, message: Message) -> None:
        rule.name_caller(message, call.caller)
        rule.check(message, call.caller, calls.peer(call.context) if rule.asks_peer else None)

    return check


def validation(guard: Guard, method: Method) -> Before:
    """Holds the request against the rules of its fields, and spells its ids in one way."""

    async def check(call: Call, message: Message) -> None:
        validate(message)
        if call.has_zero_byte:
            refuse_nul(message)
        ids.spell(message)

    return check


def remembering(guard: Guard, method: Method) -> Before | None:
    """Notes what makes a repetition of a write recognisable; its transaction does the rest."""
    if method.secret or "request_id" not in method.fields:
        return None

    async def claim(call: Call, message: Any) -> None:
        if not message.request_id:
            return
        principal = call.caller.user_id if call.caller else calls.peer(call.context) or ""
        body = message.SerializeToString(deterministic=True)
        digest = idempotency.hash_body(guard.secret, body)
        call.claim = Claim(principal, method.path, message.request_id, digest)

    return claim


def lifetime(guard: Guard, method: Method) -> Around | None:
    """Ends a stream when the token that opened it ends, a right behind it, or this process."""
    if not method.server_streaming and not method.client_streaming:
        return None
    return lambda call: guard.rights.cutoff(call.caller)


def deadline(guard: Guard, method: Method) -> Around | None:
    """Bounds a unary call whose caller sets no bound; gRPC itself keeps to the caller's."""
    if method.server_streaming:
        return None
    bound = UPLOAD_DEADLINE if method.client_streaming else DEFAULT_DEADLINE
    return lambda call: asyncio.timeout(bound if call.context.time_remaining() is None else None)


class _Errors:
    """Turns whatever is raised into a status, and logs what is a fault of ours."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def __aenter__(self) -> None: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
            return
        refused = refusal(error)
        if refused is None:
            log.error("internal_error", method=self._call.method.path, exc_info=error)
            refused = Refused.of(Internal(self._call.request_id))
        raise refused from error


class _Telemetry:
    """Logs calls that were refused or slow, by ids alone."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def __aenter__(self) -> None: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._call.began
        slow = seconds > SLOW and not self._call.method.server_streaming
        if error is None and not slow:
            return
        log.info(
            "call",
            method=self._call.method.path,
            code=error.code.name if isinstance(error, Refused) else "CANCELLED" if error else "OK",
            seconds=round(seconds, 4),
            user_id=self._call.caller.user_id if self._call.caller else None,
        )


CHAIN: tuple[Stage, ...] = (
    # Outermost: it sees every refusal of the others.
    Stage("telemetry", around=lambda guard, method: _Telemetry),
    # Outside all that can fail, inside what counts the failures.
    Stage("errors", around=lambda guard, method: _Errors),
    # Bounds the look-ups of the stages below as well.
    Stage("deadline", around=deadline),
    # Needs nothing of the request; everything after it may ask who calls.
    Stage("authentication", before=authentication),
    # Before validation (AIP-211): an outsider learns nothing from the rules of the fields.
    Stage("access", before=access),
    # Only now is there a caller whose rights may end.
    Stage("lifetime", around=lifetime),
    # After access has written out `me`.
    Stage("validation", before=validation),
    # Last: only a request that will be served is remembered, in its final form.
    Stage("idempotency", before=remembering),
)


class Chain(grpc.aio.ServerInterceptor):
    """Puts the chain around every RPC of a server; one that no contract declares is denied."""

    def __init__(self, guard: Guard, methods: Iterable[Method], stages: tuple[Stage, ...] = CHAIN) -> None:
        self._guard = guard
        self._methods = {method.path: method for method in methods}
        self._stages = stages
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        path = handler_call_details.method
        handler = self._handlers.get(path)
        if handler is None:
            handler = await continuation(handler_call_details)
            if handler is not None:
                handler = self._handlers[path] = self._surrounded(path, handler)
        return handler

    def _surrounded(self, path: str, handler: Any) -> Handler:
        method = self._methods.get(path)
        if method is None:
            raise LookupError(f"{path} is served, but no contract declares it")
        # Requests come as bytes and are read here, so that unreadable ones are refused like all others.
        codec = (None, handler.response_serializer)
        if method.server_streaming:
            stream = self._stream(method, handler.unary_stream)
            return grpc.unary_stream_rpc_method_handler(stream, *codec)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(self._upload(method, handler.stream_unary), *codec)
        return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary), *codec)

    def _unary(self, method: Method, serve: Any) -> Any:
        async def handle(call: Call, message: Message) -> Message:
            try:
                reply: Message = await serve(message, call.context)
                return reply
            except Replayed as replayed:
                return method.response.FromString(replayed.answer)

        run = self._compose(method, handle)

        async def unary(raw: bytes, context: Context) -> Message | None:
            try:
                reply: Message = await run(_begin(method, context, raw), _read(method, raw))
                return reply
            except Refused as refused:
                await context.abort(refused.code, refused.status.message, refused.trailers())

        return unary

    def _upload(self, method: Method, serve: Any) -> Any:
        async def upload(raws: AsyncIterator[bytes], context: Context) -> Message | None:
            async def handle(first: Message, context: Context) -> Message:
                reply: Message = await serve(_continued(method, first, raws), context)
                return reply

            reply: Message | None = await self._unary(method, handle)(await anext(raws, b""), context)
            return reply

        return upload

    def _stream(self, method: Method, serve: Any) -> Any:
        run = self._compose_stream(method, lambda call, message: serve(message, call.context))

        async def stream(raw: bytes, context: Context) -> AsyncIterator[Message]:
            begun = False
            try:
                async for reply in run(_begin(method, context, raw), _read(method, raw)):
                    begun = True
                    yield reply
            except Refused as refused:
                # Once a stream has begun, only a message can tell clients of JSON why it ends.
                if begun and method.reports_errors:
                    yield method.response(error=refused.status)
                await context.abort(refused.code, refused.status.message, refused.trailers())

        return stream

    def _compose(self, method: Method, handle: Any) -> Any:
        for before, around in self._prepared(method):
            handle = _before(before, handle) if before else _around(around, handle)
        return handle

    def _compose_stream(self, method: Method, handle: Any) -> Any:
        for before, around in self._prepared(method):
            handle = _before_stream(before, handle) if before else _around_stream(around, handle)
        return handle

    def _prepared(self, method: Method) -> Iterable[tuple[Before | None, Any]]:
        """The stages that this RPC needs, innermost first."""
        for stage in reversed(self._stages):
            before = stage.before(self._guard, method) if stage.before else None
            around = stage.around(self._guard, method) if stage.around else None
            if before or around:
                yield before, around


def _before(before: Before, handle: Any) -> Any:
    async def run(call: Call, message: Message) -> Any:
        await before(call, message)
        return await handle(call, message)

    return run


def _around(around: Around, handle: Any) -> Any:
    async def run(call: Call, message: Message) -> Any:
        async with around(call):
            return await handle(call, message)

    return run


def _before_stream(before: Before, handle: Any) -> Any:
    async def run(call: Call, message: Message) -> AsyncIterator[Any]:
        await before(call, message)
        async with aclosing(handle(call, message)) as replies:
            async for reply in replies:
                yield reply

    return run


def _around_stream(around: Around, handle: Any) -> Any:
    async def run(call: Call, message: Message) -> AsyncIterator[Any]:
        async with around(call), aclosing(handle(call, message)) as replies:
            async for reply in replies:
                yield reply

    return run


async def _continued(method: Method, first: Message, rest: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """A stream's messages: the first, which was judged, and the rest, which may name nobody."""
    yield first
    async for raw in rest:
        message = _read(method, raw)
        if any(getattr(message, name) for name in method.identity):
            raise AccessDenied()
        validate(message)
        if b"\0" in raw:
            refuse_nul(message)
        ids.spell(message)
        yield message


def _read(method: Method, raw: bytes) -> Message:
    """The request that the bytes are. Raises Refused where they are too many, or none."""
    if len(raw) > MAX_MESSAGE_BYTES:
        raise Refused.of(MessageTooLarge())
    try:
        message = method.request.FromString(raw)
    except DecodeError as error:
        raise Refused.of(RequestMalformed()) from error
    # An identity field that comes with a foreign wire type as well is unknown to protobuf, but
    # confuses the gateway's reading of the same bytes: such a message has no honest sender.
    unknown = UnknownFieldSet(message)
    if any(unknown[index].field_number in method.identity_numbers for index in range(len(unknown))):
        raise Refused.of(RequestMalformed())
    return message


def _begin(method: Method, context: Context, raw: bytes) -> Call:
    sent = context.invocation_metadata() or ()
    metadata = dict(sent)
    given = str(metadata.get("x-request-id", ""))
    trace = str(metadata.get("traceparent", ""))
    call = Call(
        method=method,
        context=context,
        request_id=given if 0 < len(given) <= MAX_REQUEST_ID and given.isprintable() else uuid.uuid4().hex,
        # Two of them are no choice of ours: together they are no token, here as at the gateway.
        authorization=",".join(str(value) for key, value in sent if key == "authorization"),
        trace_parent=trace if _TRACE_PARENT.fullmatch(trace) else _new_trace(),
        has_zero_byte=b"\0" in raw,
    )
    calls.enter(call)
    # Every line that is logged for the call bears both.
    trace_id = call.trace_parent.split("-")[1]
    structlog.contextvars.bind_contextvars(request_id=call.request_id, trace_id=trace_id)
    return call


def _new_trace() -> str:
    """For a call that comes with none, or with one that nobody can go on with."""
    return f"00-{uuid.uuid4().hex}-{secrets.token_hex(8)}-00"
