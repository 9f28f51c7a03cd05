"""Errors of API calls as one-line messages with the next step."""

import math
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

from deploy.cli import credentials
from deploy.cli.target import LOOPBACK, Target
from deploy.stack.errors import CliError

_OPTIONS = {
    "login_name": "--login-name",
    "phone": "--phone",
    "email": "--email",
    "title": "TITLE",
    "display_name": "NAME",
    "address": "NAME",
}
"""The command-line names of request fields, if they differ from the field names."""
_PATTERNS = {
    "phone": "must be a number with its country code, such as +919876543210",
    "display_name": "must not be blank",
}
"""The rules behind the patterns of request fields."""


class ApiError(CliError):
    """An API call failed with a reason that the contracts declare."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


def reason(error: Any) -> str:
    """Returns the reason of a failed call, or an empty text."""
    return str(_detail(error, ErrorInfo()).reason)


def retry_delay_seconds(error: Any) -> int:
    """Returns the delay, in whole seconds, that a rate-limited call asks for; 0 for any other error."""
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return 0
    delay: timedelta = _detail(error, RetryInfo()).retry_delay.ToTimedelta()
    return math.ceil(delay.total_seconds())


def to_cli_error(error: Any, target: Target) -> CliError:
    """Returns the error to show for a failed call."""
    error_reason, message = reason(error), (error.details() or "").strip()
    violations = [_format_violation(one) for one in _detail(error, BadRequest()).field_violations]
    if not error_reason:
        return _connection_error(error, message, target)
    if error_reason == "ACCESS_DENIED":
        return ApiError(f"{message} {_signed_in_hint(target)}".strip(), error_reason)
    if violations:
        message = "; ".join(violations)
    if seconds := retry_delay_seconds(error):
        message += f" Try again in {seconds} s."
    return ApiError(f"{message} ({error_reason})", error_reason)


def _format_violation(violation: Any) -> str:
    """Returns the command-line name of a field and the rule that its value breaks."""
    name = _OPTIONS.get(violation.field, violation.field)
    rule = _PATTERNS.get(violation.field, "") if violation.reason == "string.pattern" else ""
    return f"{name}: {rule or violation.description}"


def _connection_error(error: Any, message: str, target: Target) -> CliError:
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return CliError(
                f"{target.url} does not answer ({message.partition(';')[0]}){_connection_hint(target)}"
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            diagnose = ", or run `meno doctor`" if target.is_local else ""
            return CliError(f"{target.url} did not answer in time: try again{diagnose}")
        case grpc.StatusCode.UNIMPLEMENTED:
            return CliError(f"{target.url} does not support this call because its version of Meno differs")
    return CliError(f"{target.url} answered {error.code().name}: {message}")


def _connection_hint(target: Target) -> str:
    if target.is_local:
        return ": run `meno status` or `meno doctor`"
    if target.scheme == "https" and target.host in LOOPBACK:
        return f": if it does not use TLS, give --url http://{target.grpc_address}"
    return ""


def _signed_in_hint(target: Target) -> str:
    stored = credentials.load(target.credentials)
    return f"You are signed in as {stored.name}: `meno token --show` shows your rights." if stored else ""


def _detail(error: Any, detail: Any) -> Any:
    """Returns the first detail of the given type in the status of an error, or an empty one."""
    status = rpc_status.from_call(error) if error.trailing_metadata() else None
    made: Message = detail
    for packed in status.details if status else ():
        if packed.Unpack(made):
            break
    return made
