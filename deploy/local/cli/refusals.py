"""Why a call was refused, in one line that says what to do."""

from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

from deploy.local.cli import credentials
from deploy.local.cli.place import Place
from deploy.local.problems import Problem


class Refusal(Problem):
    """A call that was refused, for a reason that the contracts name."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


def reason(error: Any) -> str:
    """The reason that a refused call gives, or an empty text."""
    return str(_detail(error, ErrorInfo()).reason)


def problem(error: Any, place: Place) -> Problem:
    """What to tell of a call that failed."""
    why, said = reason(error), (error.details() or "").strip()
    violations = [f"{one.field}: {one.description}" for one in _detail(error, BadRequest()).field_violations]
    if not why:
        return _unanswered(error, said, place)
    if why == "ACCESS_DENIED":
        return Refusal(f"{said} {_signed_in(place)}", why)
    if len(violations) > 1:
        said = "; ".join(violations)
    wait = _detail(error, RetryInfo()).retry_delay.ToTimedelta().total_seconds()
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and wait:
        said += f" Try again in {wait:.0f} s."
    return Refusal(f"{said} ({why})", why)


def _unanswered(error: Any, said: str, place: Place) -> Problem:
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return Problem(
                f"{place.url} does not answer ({said.partition(';')[0]}): `meno status`, `meno doctor`"
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return Problem(f"{place.url} took too long to answer: try again, or `meno doctor`")
        case grpc.StatusCode.UNIMPLEMENTED:
            return Problem(f"{place.url} does not know this call: it runs another version of Meno")
    return Problem(f"{place.url} answered {error.code().name}: {said}")


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
