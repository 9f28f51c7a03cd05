"""The current call and its caller."""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc

from chassis.contracts import Method

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

GATEWAY = "gateway"
"""The name of the gateway in its certificate."""
CLIENT_ADDRESS = "meno-client-address"
"""The metadata key in which the gateway sends the address of the client."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, as identified by a verified access token."""

    user_id: str
    role: str
    """Global role: UNASSIGNED, STUDENT, TEACHER or ADMIN."""
    classes: dict[str, str]
    """Class id to class role (STUDENT or TEACHER) for active classes."""
    archived: dict[str, str]
    """Class id to class role for archived classes, which are read-only."""
    sign_in_id: str
    rights_version: int
    expires_at: float
    """Seconds since the epoch."""
    guest: bool
    token: str = field(repr=False)

    def role_in(self, class_id: str) -> str | None:
        """Returns the caller's role in an active or archived class, or None if they are not a member."""
        return self.classes.get(class_id) or self.archived.get(class_id)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A principal's request_id for one method, with a digest of the request."""

    principal: str
    method: str
    request_id: str
    body_hash: bytes


@dataclass(slots=True)
class Call:
    """A call and what the interceptors know of it."""

    method: Method
    context: Context
    request_id: str
    """Identifies the call in logs and in the message of an internal error."""
    authorization: str = field(repr=False)
    """The authorization header, unchanged."""
    trace_parent: str
    """The traceparent (W3C Trace Context) that is forwarded to other services."""
    json_fields: str = ""
    """The paths of the fields in the JSON body of which the gateway made the request, joined by commas."""
    has_zero_byte: bool = False
    """Whether the encoded request contains a zero byte. Only then can a string contain NUL."""
    started_at: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    """None if the RPC is public or the caller is a service."""
    idempotency_key: IdempotencyKey | None = None
    """None if the call is not a write or has no request_id."""


_current: ContextVar[Call] = ContextVar("call")


def current() -> Call:
    """Returns the current call. Raises LookupError outside of a call."""
    return _current.get()


def current_or_none() -> Call | None:
    """Returns the current call, or None in background work."""
    return _current.get(None)


def enter(call: Call) -> None:
    """Makes `call` the current call of this task."""
    _current.set(call)


def peer(context: Context) -> str | None:
    """Returns the calling service from its certificate (`spiffe://meno/chat_service`), or None."""
    names = context.auth_context().get("peer_spiffe_id") or ()
    for name in names:
        domain, _, service = name.decode().removeprefix("spiffe://").partition("/")
        if domain == "meno" and service:
            return service
    return None


def client_address() -> str:
    """Returns the IP address of the client of the current call.

    Only the gateway may send it. Empty if the caller is a service, or outside of a call.
    """
    call = current_or_none()
    if call is None or peer(call.context) != GATEWAY:
        return ""
    sent = call.context.invocation_metadata() or ()
    return next((str(value) for key, value in sent if key == CLIENT_ADDRESS), "")


def caller() -> Caller:
    """Returns the caller. Raises LookupError if the call has none, which only public and service RPCs allow."""
    found = current().caller
    if found is None:
        raise LookupError("this RPC can be called without a token")
    return found
