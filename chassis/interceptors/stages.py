"""The stages of the interceptor chain, and their order as data.

A stage does one thing. It is prepared once for each RPC, and left out of the chain of an RPC that does not
need it. A `RequestHook` runs before the rest of the chain; a `CallContextManager` surrounds it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

from google.protobuf.message import Message

from chassis import calls
from chassis.access import access_of
from chassis.calls import Call, IdempotencyKey
from chassis.contracts import Method
from chassis.errors import Internal, StatusError, to_status_error
from chassis.idempotency import hash_body
from chassis.json_fields import check_json_fields
from chassis.names import trim_names
from chassis.security import SecurityContext
from chassis.telemetry import get_logger
from chassis.uuids import normalize_uuids
from chassis.validation import reject_nul_bytes, validate

DEFAULT_DEADLINE_SECONDS = 30.0
"""The deadline of a unary call whose client sets none."""
UPLOAD_DEADLINE_SECONDS = 600.0
"""The deadline of an upload whose client sets none."""
SLOW_CALL_SECONDS = 0.3
"""A unary call that takes longer is logged."""

log = get_logger()

RequestHook: TypeAlias = Callable[[Call, Message], Awaitable[None]]
CallContextManager: TypeAlias = Callable[[Call], AbstractAsyncContextManager[object]]


@dataclass(frozen=True)
class Stage:
    """One stage of the chain. Exactly one of `before` and `around` is set.

    Both are called once for each RPC; None means that the RPC does not need the stage.
    """

    name: str
    before: Callable[[SecurityContext, Method], RequestHook | None] | None = None
    around: Callable[[SecurityContext, Method], CallContextManager | None] | None = None


def authentication(security: SecurityContext, method: Method) -> RequestHook | None:
    """Sets the caller of the call from its access token."""
    rule = access_of(method)
    if not rule.uses_token:
        return None

    async def authenticate(call: Call, message: Message) -> None:
        if call.authorization or rule.needs_token:
            call.caller = await security.tokens.caller(call.authorization)
            security.revocations.check(call.caller)

    return authenticate


def access(security: SecurityContext, method: Method) -> RequestHook:
    """Enforces the `allow` options of the method."""
    rule = access_of(method)

    async def check(call: Call, message: Message) -> None:
        rule.replace_me(message, call.caller)
        rule.check(message, call.caller, calls.peer(call.context) if rule.needs_peer else None)

    return check


def validation(security: SecurityContext, method: Method) -> RequestHook:
    """Trims names, validates the request (protovalidate) and normalises its UUIDs."""

    async def check(call: Call, message: Message) -> None:
        if call.json_fields:
            check_json_fields(message, call.json_fields)
        trim_names(message)
        validate(message)
        if call.has_zero_byte:
            reject_nul_bytes(message)
        normalize_uuids(message)

    return check


def idempotency(security: SecurityContext, method: Method) -> RequestHook | None:
    """Stores the idempotency key on the call; `idempotency.write` uses it."""
    if method.secret or "request_id" not in method.fields:
        return None

    async def set_key(call: Call, message: Any) -> None:
        if not message.request_id:
            return
        principal = call.caller.user_id if call.caller else calls.peer(call.context) or ""
        body = message.SerializeToString(deterministic=True)
        digest = hash_body(security.secret, body)
        call.idempotency_key = IdempotencyKey(principal, method.path, message.request_id, digest)

    return set_key


def stream_revocation(security: SecurityContext, method: Method) -> CallContextManager | None:
    """Ends a stream when its token expires or is revoked, or when the process drains."""
    if not method.server_streaming and not method.client_streaming:
        return None
    return lambda call: security.revocations.cancel_on_revocation(call.caller)


def stream_limit(security: SecurityContext, method: Method) -> CallContextManager | None:
    """Limits the open streams of an address."""
    return security.stream_limits.hold if method.server_streaming or method.client_streaming else None


def deadline(security: SecurityContext, method: Method) -> CallContextManager | None:
    """Sets a deadline on a unary call without one; gRPC itself enforces that of the client."""
    if method.server_streaming:
        return None
    seconds = UPLOAD_DEADLINE_SECONDS if method.client_streaming else DEFAULT_DEADLINE_SECONDS
    return lambda call: asyncio.timeout(seconds if call.context.time_remaining() is None else None)


class _Errors:
    """Converts every exception to a StatusError, and logs unexpected ones with their traceback."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def __aenter__(self) -> None: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
            return
        status_error = to_status_error(error)
        if status_error is None:
            log.error("internal_error", method=self._call.method.path, exc_info=error)
            status_error = StatusError.of(Internal(self._call.request_id))
        raise status_error from error


class _Telemetry:
    """Logs failed and slow calls. The log contains only ids."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def __aenter__(self) -> None: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._call.started_at
        slow = seconds > SLOW_CALL_SECONDS and not self._call.method.server_streaming
        if error is None and not slow:
            return
        log.info(
            "call",
            method=self._call.method.path,
            code=error.code.name if isinstance(error, StatusError) else "CANCELLED" if error else "OK",
            reason=error.reason if isinstance(error, StatusError) else None,
            seconds=round(seconds, 4),
            user_id=self._call.caller.user_id if self._call.caller else None,
        )


CHAIN: tuple[Stage, ...] = (
    # Outermost, so that it sees the errors of all other stages.
    Stage("telemetry", around=lambda security, method: _Telemetry),
    # Outside every stage that can fail, inside the one that logs failures.
    Stage("errors", around=lambda security, method: _Errors),
    # Includes the look-ups of the stages below.
    Stage("deadline", around=deadline),
    # Needs no field of the request. Every later stage may need the caller.
    Stage("authentication", before=authentication),
    # Before validation (AIP-211), so that unauthorised callers learn nothing from field errors.
    Stage("access", before=access),
    # After authentication, because guests have lower limits.
    Stage("stream_limit", around=stream_limit),
    # After authentication, because only now is there a caller whose token can be revoked.
    Stage("stream_revocation", around=stream_revocation),
    # After access has replaced `me`.
    Stage("validation", before=validation),
    # Last, so that the body hash covers the request in its final form.
    Stage("idempotency", before=idempotency),
)
