"""The call that is being served, and who makes it."""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc

from chassis.contracts import Method

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, as their verified access token tells it."""

    user_id: str
    role: str
    """Global role: UNASSIGNED, STUDENT, TEACHER or ADMIN."""
    classes: dict[str, str]
    """Class id to class role, STUDENT or TEACHER, of the classes that are in use."""
    archived: dict[str, str]
    """The same of those that are read-only."""
    sign_in_id: str
    rights_version: int
    expires_at: float
    """Seconds since the epoch."""
    guest: bool
    token: str = field(repr=False)

    def role_in(self, class_id: str) -> str | None:
        """The role in a class, whether it is in use or read-only; None where there is none."""
        return self.classes.get(class_id) or self.archived.get(class_id)


@dataclass(frozen=True, slots=True)
class Claim:
    """A principal's request_id for one method, and what was asked under it."""

    principal: str
    method: str
    request_id: str
    body_hash: bytes


@dataclass(slots=True)
class Call:
    """One call, from the first byte to the last."""

    method: Method
    context: Context
    request_id: str
    """Names the call in logs and in the message of an internal error."""
    authorization: str = field(repr=False)
    """The authorization header as it came."""
    trace_parent: str
    """Names the trace that the call is part of (W3C Trace Context); handed on as it came."""
    has_zero_byte: bool = False
    """Whether the request's bytes hold a zero: only then can a text of it hold NUL."""
    began: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    """None where the RPC is public or a service calls."""
    claim: Claim | None = None
    """What makes a repetition of this call recognisable; None where it is no write."""


_current: ContextVar[Call] = ContextVar("call")


def current() -> Call:
    """The call that is being served. Raises LookupError outside of one."""
    return _current.get()


def current_or_none() -> Call | None:
    """The call that is being served; None where a service works by itself."""
    return _current.get(None)


def enter(call: Call) -> None:
    """Makes `call` the one that this task serves."""
    _current.set(call)


def peer(context: Context) -> str | None:
    """The service that calls, by its certificate: `spiffe://meno/chat_service`."""
    names = context.auth_context().get("peer_spiffe_id") or ()
    for name in names:
        domain, _, service = name.decode().removeprefix("spiffe://").partition("/")
        if domain == "meno" and service:
            return service
    return None


def caller() -> Caller:
    """Who calls. Only for RPCs whose every way in needs a token."""
    found = current().caller
    if found is None:
        raise LookupError("this RPC can be called without a token")
    return found
