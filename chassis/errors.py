"""Refusals that know their status, and the one table that turns anything raised into one.

A service declares its refusals beside each other in `errors.py`:

    class Refusal(DomainError, contract=ErrorReason):
        \"\"\"Why session_service refuses.\"\"\"

    class SessionNotFound(Refusal):
        def __init__(self, session_id: str) -> None:
            super().__init__("There is no such session.", session_id=session_id)

The reason is the class's name, SESSION_NOT_FOUND; the status code is the one that
the contract gives to it.
"""

import asyncio
import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import grpc
import psycopg
import psycopg_pool
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from meno.access.v1 import access_pb2
from meno.access.v1.errors_pb2 import ErrorReason

DOMAIN = "meno"
RETRY_SOON = timedelta(seconds=1)
RETRY_LATER = timedelta(seconds=3)


class DomainError(Exception):
    """A refusal: a sentence for a person, a reason and metadata for a program."""

    contract: ClassVar[Any]
    reason: ClassVar[str]
    code: ClassVar[grpc.StatusCode]

    def __init_subclass__(cls, contract: Any = None) -> None:
        """Binds a context's refusals to its ErrorReason, and each to its value there."""
        if contract is not None:
            cls.contract = contract
            return
        cls.reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper()
        value = cls.contract.DESCRIPTOR.values_by_name[f"ERROR_REASON_{cls.reason}"]
        cls.code = grpc.StatusCode[value.GetOptions().Extensions[access_pb2.code]]

    def __init__(self, message: str, *, details: tuple[Message, ...] = (), **metadata: object) -> None:
        super().__init__(message)
        self.details = details
        self.metadata = {name: str(value) for name, value in metadata.items()}

    def status(self) -> Status:
        """The refusal as it travels."""
        info = ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        return Status(
            code=self.code.value[0], message=str(self), details=[_pack(info), *map(_pack, self.details)]
        )


class Refusal(DomainError, contract=ErrorReason):
    """What the chassis itself refuses."""


class TokenMissing(Refusal):
    def __init__(self) -> None:
        super().__init__("Sign in, and send the access token as `authorization: Bearer …`.")


class TokenInvalid(Refusal):
    def __init__(self) -> None:
        super().__init__("The access token is not valid here. Sign in again.")


class TokenExpired(Refusal):
    def __init__(self) -> None:
        super().__init__("The access token has expired. Refresh it.")


class RightsChanged(Refusal):
    def __init__(self) -> None:
        super().__init__("Your rights have changed. Refresh the access token.")


class AccessDenied(Refusal):
    def __init__(self) -> None:
        super().__init__("Permission denied, or it might not exist.")


class FieldInvalid(Refusal):
    """Lists every violation: a field, what it expects, and the id of the rule."""

    def __init__(self, *violations: BadRequest.FieldViolation) -> None:
        first = violations[0]
        more = f" ({len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(
            f"{first.field or 'request'}: {first.description}{more}",
            details=(BadRequest(field_violations=violations),),
        )

    @classmethod
    def of(cls, field: str, description: str, rule: str) -> "FieldInvalid":
        """The refusal of a field that breaks a rule which the contract can only tell in words."""
        return cls(BadRequest.FieldViolation(field=field, description=description, reason=rule))


class RequestMalformed(Refusal):
    def __init__(self) -> None:
        super().__init__("The request cannot be read.")


class MessageTooLarge(Refusal):
    def __init__(self) -> None:
        super().__init__("The request is larger than is accepted.")


class RequestIdReused(Refusal):
    def __init__(self, request_id: str) -> None:
        super().__init__(
            "This request_id was used for another request. Choose a new one.", request_id=request_id
        )


class PageTokenInvalid(Refusal):
    def __init__(self) -> None:
        super().__init__("The page_token does not belong to this list. Start again without it.")


class EtagMismatch(Refusal):
    def __init__(self, etag: str) -> None:
        super().__init__("It was changed since you read it. Read it again and repeat.", etag=etag)


class RateLimited(Refusal):
    def __init__(self) -> None:
        super().__init__("Too many calls. Wait a little.", details=(retry_after(RETRY_LATER),))


class ServiceUnavailable(Refusal):
    def __init__(self, message: str = "The service is not available now. Try again.") -> None:
        super().__init__(message, details=(retry_after(RETRY_SOON),))


class DeadlinePassed(Refusal):
    def __init__(self) -> None:
        super().__init__("The call took longer than its deadline.")


class Internal(Refusal):
    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"Something went wrong on our side. Quote the request id {request_id}.", request_id=request_id
        )


class Refused(Exception):
    """Carries a finished status through the chain to the wire."""

    def __init__(self, status: Status, code: grpc.StatusCode) -> None:
        super().__init__(status.message)
        self.status = status
        self.code = code

    @classmethod
    def of(cls, error: DomainError) -> "Refused":
        """A refusal, ready to travel."""
        return cls(error.status(), error.code)

    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """The whole status for programs, and for whom it is transcoded, when to try again.

        They are trailers even where nothing went before them: headers would tell a gRPC client
        that the call is served, and it would not repeat it.
        """
        trailers = (("grpc-status-details-bin", self.status.SerializeToString()),)
        wait = RetryInfo()
        if any(detail.Unpack(wait) for detail in self.status.details):
            seconds = math.ceil(wait.retry_delay.ToTimedelta().total_seconds())
            return (*trailers, ("retry-after", str(max(seconds, 1))))
        return trailers


# What a peer says of the caller's own request holds for the caller as well; anything
# else that a peer says is a fault of ours.
_PASSED_ON = frozenset(
    {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
    }
)

# First match wins. The first column never leaves the service.
_TRANSLATIONS: tuple[tuple[type[BaseException], Callable[[], Refusal]], ...] = (
    (psycopg_pool.PoolTimeout, ServiceUnavailable),
    (psycopg_pool.TooManyRequests, ServiceUnavailable),
    (psycopg_pool.PoolClosed, ServiceUnavailable),
    (psycopg.errors.QueryCanceled, DeadlinePassed),
    (psycopg.errors.SerializationFailure, ServiceUnavailable),
    (psycopg.errors.DeadlockDetected, ServiceUnavailable),
    (psycopg.errors.LockNotAvailable, ServiceUnavailable),
    (psycopg.OperationalError, ServiceUnavailable),
    (asyncio.TimeoutError, DeadlinePassed),
)


def refusal(error: BaseException) -> Refused | None:
    """The status that an exception travels as, or None where it is a fault of ours."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, DomainError):
        return Refused.of(error)
    if isinstance(error, grpc.aio.AioRpcError):
        return _from_peer(error)
    for cause, translation in _TRANSLATIONS:
        if isinstance(error, cause):
            return Refused.of(translation())
    return None


def _from_peer(error: grpc.aio.AioRpcError) -> Refused | None:
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return refusal(DeadlinePassed())
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        return refusal(ServiceUnavailable())
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has code, details and trailers
    if error.code() in _PASSED_ON and status is not None:
        return Refused(status, error.code())
    return None


def retry_after(delay: timedelta) -> RetryInfo:
    """A RetryInfo that says to wait this long."""
    info = RetryInfo()
    info.retry_delay.FromTimedelta(delay)
    return info


def _pack(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
