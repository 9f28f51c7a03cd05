"""Why a call was refused, in one line that says what to do."""

import math
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

from deploy.cli import credentials
from deploy.cli.place import LOOPBACK, Place
from deploy.stack.errors import CliError

_OPTIONS = {
    "login_name": "--login-name",
    "phone": "--phone",
    "email": "--email",
    "title": "TITLE",
    "display_name": "NAME",
    "address": "NAME",
}
"""How the commands call the fields of requests, where they have a name of their own."""
_PATTERNS = {
    "login_name": "3 to 64 letters, digits and . _ -, beginning with a letter or a digit",
    "phone": "a number with its country, such as +919876543210",
    "title": "must not be blank",
    "display_name": "must not be blank",
}
"""What a pattern asks for, in words."""


class Refusal(CliError):
    """A call that was refused, for a reason that the contracts name."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


def reason(error: Any) -> str:
    """The reason that a refused call gives, or an empty text."""
    return str(_detail(error, ErrorInfo()).reason)


def wait(error: Any) -> int:
    """The whole seconds after which a call may be repeated that came too often; 0 of another one."""
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return 0
    delay: timedelta = _detail(error, RetryInfo()).retry_delay.ToTimedelta()
    return math.ceil(delay.total_seconds())


def problem(error: Any, place: Place) -> CliError:
    """What to tell of a call that failed."""
    why, said = reason(error), (error.details() or "").strip()
    violations = [_told(one) for one in _detail(error, BadRequest()).field_violations]
    if not why:
        return _unanswered(error, said, place)
    if why == "ACCESS_DENIED":
        return Refusal(f"{said} {_signed_in(place)}", why)
    if violations:
        said = "; ".join(violations)
    if seconds := wait(error):
        said += f" Try again in {seconds} s."
    return Refusal(f"{said} ({why})", why)


def _told(violation: Any) -> str:
    """A field that breaks a rule, as the commands call it, and the rule."""
    name = _OPTIONS.get(violation.field, violation.field)
    rule = _PATTERNS.get(violation.field, "") if violation.reason == "string.pattern" else ""
    return f"{name}: {rule or violation.description}"


def _unanswered(error: Any, said: str, place: Place) -> CliError:
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return CliError(f"{place.url} does not answer ({said.partition(';')[0]}){_advice(place)}")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            examine = ", or `meno doctor`" if place.is_here else ""
            return CliError(f"{place.url} took too long to answer: try again{examine}")
        case grpc.StatusCode.UNIMPLEMENTED:
            return CliError(f"{place.url} does not know this call: it runs another version of Meno")
    return CliError(f"{place.url} answered {error.code().name}: {said}")


def _advice(place: Place) -> str:
    if place.is_here:
        return ": `meno status`, `meno doctor`"
    if place.scheme == "https" and place.host in LOOPBACK:
        return f": does it speak TLS? Otherwise give --url http://{place.target}"
    return ""


def _signed_in(place: Place) -> str:
    held = credentials.load(place.credentials)
    return f"You are signed in as {held.name}: `meno token --show` tells your rights." if held else ""


def _detail(error: Any, detail: Any) -> Any:
    """The detail of a kind that a refusal carries, or an empty one."""
    status = rpc_status.from_call(error) if error.trailing_metadata() else None
    made: Message = detail
    for packed in status.details if status else ():
        if packed.Unpack(made):
            break
    return made
