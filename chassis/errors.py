"""Errors that contain their gRPC status, and the table that maps other exceptions to them.

A service declares its errors in `errors.py`:

    class SessionError(DomainError, contract=ErrorReason):
        \"\"\"An error of session_service.\"\"\"

    class SessionNotFound(SessionError):
        def __init__(self, session_id: str) -> None:
            super().__init__("The session does not exist.", session_id=session_id)

The reason is derived from the class name (SESSION_NOT_FOUND). The status code is the `code` option of that
reason in the contract.
"""

import asyncio
import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar

import grpc
import psycopg
import psycopg_pool
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from chassis.contracts import EnumType
from meno.access.v1 import access_pb2
from meno.access.v1.errors_pb2 import ErrorReason

DOMAIN = "meno"
UNAVAILABLE_RETRY_DELAY = timedelta(seconds=1)
RATE_LIMIT_RETRY_DELAY = timedelta(seconds=3)


class DomainError(Exception):
    """An error with a message for people, and a reason and metadata for programs."""

    contract: ClassVar[EnumType]
    reason: ClassVar[str]
    code: ClassVar[grpc.StatusCode]

    def __init_subclass__(cls, contract: EnumType | None = None) -> None:
        """Binds the base class of a context to its ErrorReason enum, and each subclass to its value."""
        if contract is not None:
            cls.contract = contract
            return
        cls.reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper()
        value = cls.contract.DESCRIPTOR.values_by_name[f"ERROR_REASON_{cls.reason}"]
        cls.code = grpc.StatusCode[Code.Name(value.GetOptions().Extensions[access_pb2.code])]

    def __init__(self, message: str, *, details: tuple[Message, ...] = (), **metadata: object) -> None:
        super().__init__(message)
        self.details = details
        self.metadata = {name: str(value) for name, value in metadata.items()}

    def status(self) -> Status:
        """Returns the error as google.rpc.Status."""
        info = ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        return Status(
            code=self.code.value[0], message=str(self), details=[_pack(info), *map(_pack, self.details)]
        )


class ChassisError(DomainError, contract=ErrorReason):
    """An error that any service can return."""


class TokenMissing(ChassisError):
    def __init__(self) -> None:
        super().__init__("Sign in, and send the access token as `authorization: Bearer …`.")


class TokenInvalid(ChassisError):
    def __init__(self) -> None:
        super().__init__("The access token is invalid. Sign in again.")


class TokenExpired(ChassisError):
    def __init__(self) -> None:
        super().__init__("The access token has expired. Refresh it.")


class TokenRevoked(ChassisError):
    def __init__(self) -> None:
        super().__init__("The access token was revoked because your permissions changed. Refresh it.")


class AccessDenied(ChassisError):
    """Names the permitted callers of the RPC, never the reason why this caller is not one of them."""

    def __init__(self, callers: str = "") -> None:
        permitted = f"Permitted callers: {callers}. " if callers else ""
        super().__init__(
            f"Permission denied, or the resource does not exist. {permitted}"
            "Refresh the access token if the permission is new."
        )


class FieldInvalid(ChassisError):
    """Contains every violation: the field, the rule in words, and the id of the rule."""

    def __init__(self, *violations: BadRequest.FieldViolation) -> None:
        first = violations[0]
        more = f" ({len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(
            f"{first.field or 'request'}: {first.description}{more}",
            details=(BadRequest(field_violations=violations),),
        )

    @classmethod
    def of(cls, field: str, description: str, rule: str) -> "FieldInvalid":
        """Returns the error of one field, for rules that the contract cannot express."""
        return cls(BadRequest.FieldViolation(field=field, description=description, reason=rule))


class RequestMalformed(ChassisError):
    def __init__(
        self, message: str = "The request cannot be decoded. Send the message type that the method expects."
    ) -> None:
        super().__init__(message)


class MessageTooLarge(ChassisError):
    def __init__(self, max_bytes: int = 0) -> None:
        """`max_bytes` is 0 if the limit is not that of the RPC."""
        super().__init__(
            f"The request must not be larger than {max_bytes // 1024} KiB."
            if max_bytes
            else "The request or its headers are too large."
        )


class RequestIdReused(ChassisError):
    def __init__(self, request_id: str) -> None:
        super().__init__(
            "This request_id was already used for a different request. Use a new one.", request_id=request_id
        )


class PageTokenInvalid(ChassisError):
    def __init__(self) -> None:
        super().__init__("The page_token does not belong to this request. Start again without it.")


class EtagMismatch(ChassisError):
    def __init__(self, etag: str) -> None:
        super().__init__("The resource has changed since you read it. Read it again and retry.", current=etag)


class RateLimited(ChassisError):
    def __init__(self) -> None:
        super().__init__("Too many calls. Wait and retry.", details=(retry_after(RATE_LIMIT_RETRY_DELAY),))


class QuotaExceeded(ChassisError):
    def __init__(self, resources: str, quota: int, retry_delay: timedelta) -> None:
        super().__init__(
            f"You can create at most {quota:,} {resources} in 24 hours. Retry later.",
            details=(retry_after(retry_delay),),
            resources=resources,
            quota=quota,
        )


class ServiceUnavailable(ChassisError):
    def __init__(self, message: str = "The service is temporarily unavailable. Retry.") -> None:
        super().__init__(message, details=(retry_after(UNAVAILABLE_RETRY_DELAY),))


class DeadlineExceeded(ChassisError):
    def __init__(self) -> None:
        super().__init__("The call took longer than its deadline.")


class Internal(ChassisError):
    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"An internal error occurred. Report the request id {request_id}.", request_id=request_id
        )


class StatusError(Exception):
    """A gRPC status as an exception, which the interceptor chain sends to the client."""

    def __init__(self, status: Status, code: grpc.StatusCode) -> None:
        super().__init__(status.message)
        self.status = status
        self.code = code

    @classmethod
    def of(cls, error: DomainError) -> "StatusError":
        """Returns the status of an error as an exception."""
        return cls(error.status(), error.code)

    @property
    def reason(self) -> str:
        """The reason in the ErrorInfo of the status; empty if it has none."""
        info = ErrorInfo()
        return info.reason if any(detail.Unpack(info) for detail in self.status.details) else ""

    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the trailing metadata: the status and, for transcoded clients, `retry-after` in seconds.

        It is trailing metadata even if no message was sent. After initial metadata, a gRPC client would not
        retry the call.
        """
        trailers = (("grpc-status-details-bin", self.status.SerializeToString()),)
        wait = RetryInfo()
        if any(detail.Unpack(wait) for detail in self.status.details):
            seconds = math.ceil(wait.retry_delay.ToTimedelta().total_seconds())
            return (*trailers, ("retry-after", str(max(seconds, 1))))
        return trailers


# The error of another service is returned to the caller if it concerns the request of the caller. Other
# codes are internal errors of this service.
_PROPAGATED_CODES = frozenset(
    {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
    }
)

# The first match applies. The exceptions themselves never leave the service.
_TRANSLATIONS: tuple[tuple[type[BaseException], Callable[[], ChassisError]], ...] = (
    (psycopg_pool.PoolTimeout, ServiceUnavailable),
    (psycopg_pool.TooManyRequests, ServiceUnavailable),
    (psycopg_pool.PoolClosed, ServiceUnavailable),
    (psycopg.errors.QueryCanceled, DeadlineExceeded),
    (psycopg.errors.SerializationFailure, ServiceUnavailable),
    (psycopg.errors.DeadlockDetected, ServiceUnavailable),
    (psycopg.errors.LockNotAvailable, ServiceUnavailable),
    (psycopg.OperationalError, ServiceUnavailable),
    (asyncio.TimeoutError, DeadlineExceeded),
)


def to_status_error(error: BaseException) -> StatusError | None:
    """Returns the status of an exception, or None if it is an internal error."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, DomainError):
        return StatusError.of(error)
    if isinstance(error, grpc.aio.AioRpcError):
        return _from_peer(error)
    for cause, translation in _TRANSLATIONS:
        if isinstance(error, cause):
            return StatusError.of(translation())
    return None


def _from_peer(error: grpc.aio.AioRpcError) -> StatusError | None:
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return to_status_error(DeadlineExceeded())
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        return to_status_error(ServiceUnavailable())
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has code, details and trailers
    if error.code() in _PROPAGATED_CODES and status is not None:
        return StatusError(status, error.code())
    return None


def retry_after(delay: timedelta) -> RetryInfo:
    """Returns a RetryInfo with this delay."""
    info = RetryInfo()
    info.retry_delay.FromTimedelta(delay)
    return info


def _pack(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
