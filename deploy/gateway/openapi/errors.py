"""The errors of an RPC: the reasons in its comment, with their codes and descriptions."""

import re
from dataclasses import dataclass

import grpc
from google.protobuf.descriptor import EnumDescriptor, MethodDescriptor
from google.rpc.code_pb2 import Code

from chassis.errors import DOMAIN
from deploy.gateway.openapi.descriptors import Contracts, summary_and_rest
from deploy.gateway.openapi.wellknown import ERROR_INFO, STATUS, Schema
from meno.access.v1 import access_pb2

_COMMON_ERRORS = "meno/access/v1/errors.proto"
_ENUM = "ErrorReason"
_REASON = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
_DEFAULT = "Error"

# The mapping of the transcoder of Envoy.
_HTTP_STATUSES = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}


@dataclass(frozen=True)
class Reason:
    """A value of an ErrorReason enum."""

    name: str
    code: grpc.StatusCode
    comment: str

    @property
    def http_status(self) -> int:
        """Returns the HTTP status that the gateway sends."""
        return _HTTP_STATUSES[self.code]

    @property
    def example(self) -> Schema:
        """Returns an example of the whole error."""
        number: int = self.code.value[0]
        sentence, _ = summary_and_rest(self.comment)
        detail = {"@type": f"type.googleapis.com/{ERROR_INFO}", "domain": DOMAIN, "reason": self.name}
        return {"value": {"code": number, "message": f"{sentence}.", "details": [detail]}}

    def __str__(self) -> str:
        return f"- `{self.name}` ({self.code.name}): {self.comment}"


class Errors:
    """The error reasons of every context."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._common = self._reasons(_COMMON_ERRORS)

    def find_reasons(self, method: MethodDescriptor) -> list[Reason]:
        """Returns the reasons in the comment of an RPC after `Errors:`."""
        _, _, errors = self._contracts.comment(method.full_name).partition("Errors:")
        package = method.containing_service.file.package
        known = self._common | self._reasons(f"{package.replace('.', '/')}/errors.proto")
        names = dict.fromkeys(_REASON.findall(errors))
        return [known[name] for name in names if name in known]

    def responses(self, method: MethodDescriptor) -> dict[str, Schema]:
        """Returns a response for each status of the reasons, and one for all other errors."""
        by_status: dict[int, list[Reason]] = {}
        for reason in self.find_reasons(method):
            by_status.setdefault(reason.http_status, []).append(reason)
        return {
            **{
                str(status): {"description": _describe(reasons), "content": _content(reasons)}
                for status, reasons in sorted(by_status.items())
            },
            "default": {"$ref": f"#/components/responses/{_DEFAULT}"},
        }

    def components(self) -> dict[str, Schema]:
        """Returns the response that all operations share."""
        reasons = [*self._common.values()]
        return {
            _DEFAULT: {
                "description": f"An error that any call can return:\n\n{_describe(reasons)}",
                "content": _content(reasons),
            }
        }

    def _reasons(self, file: str) -> dict[str, Reason]:
        enum: EnumDescriptor = self._contracts.file(file).enum_types_by_name[_ENUM]
        reasons = {}
        for value in enum.values[1:]:
            name = value.name.removeprefix("ERROR_REASON_")
            code = grpc.StatusCode[Code.Name(value.GetOptions().Extensions[access_pb2.code])]
            comment = self._contracts.comment(f"{enum.full_name}.{value.name}")
            reasons[name] = Reason(name, code, comment)
        return reasons


def _describe(reasons: list[Reason]) -> str:
    return "\n".join(map(str, reasons))


def _content(reasons: list[Reason]) -> Schema:
    return {
        "application/json": {
            "schema": {"$ref": f"#/components/schemas/{STATUS}"},
            "examples": {reason.name: reason.example for reason in reasons},
        }
    }
