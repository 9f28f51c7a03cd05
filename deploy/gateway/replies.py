"""What the gateway says when it refuses: the same words and details as the services say.

A gRPC client gets them as a google.rpc.Status in the trailers, everybody else as JSON.
"""

import base64
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.rpc.status_pb2 import Status

from chassis import errors
from chassis.errors import DomainError

_OWN_WORDS = "%LOCAL_REPLY_BODY%"


class MethodNotFound(errors.ChassisError):
    def __init__(self) -> None:
        super().__init__("There is no such method. /docs shows those that there are.")


@dataclass(frozen=True)
class Reply:
    """A refusal of the gateway's own: what Envoy calls it, and what we say instead."""

    http_status: int
    refusal: DomainError
    details: str = ""
    """What Envoy's own details must contain, where the status alone does not tell."""
    becomes: int = 0
    """The HTTP status to send instead."""
    own_words: bool = False
    """Envoy's message says more than ours could: what is wrong with the JSON, and where."""


# First match wins.
REPLIES = (
    # A valid token cannot be told from a forged one before the keys were ever fetched.
    Reply(401, errors.ServiceUnavailable(), details="Jwks_remote_fetch", becomes=503),
    Reply(401, errors.TokenMissing(), details="Jwt_is_missing"),
    Reply(401, errors.TokenExpired(), details="Jwt_is_expired"),
    Reply(401, errors.TokenInvalid()),
    # Envoy calls a token for another audience forbidden; it is as invalid as any other.
    Reply(403, errors.TokenInvalid(), details="jwt_authn", becomes=401),
    Reply(403, errors.AccessDenied()),
    Reply(404, MethodNotFound()),
    Reply(405, MethodNotFound()),
    Reply(408, errors.DeadlineExceeded()),
    Reply(413, errors.MessageTooLarge()),
    Reply(431, errors.MessageTooLarge()),
    Reply(429, errors.RateLimited()),
    Reply(400, errors.RequestMalformed(), own_words=True),
    Reply(415, errors.RequestMalformed(), own_words=True),
    # A transfer encoding that Envoy does not know, a version of HTTP that is too old.
    Reply(501, errors.RequestMalformed(), becomes=400),
    Reply(426, errors.RequestMalformed()),
    Reply(502, errors.ServiceUnavailable()),
    Reply(503, errors.ServiceUnavailable()),
    Reply(504, errors.DeadlineExceeded()),
)


def local_reply_config() -> dict[str, Any]:
    """The mapping, for gRPC and for JSON."""
    return {"mappers": [mapper for reply in REPLIES for mapper in (_grpc(reply), _json(reply))]}


def _grpc(reply: Reply) -> dict[str, Any]:
    status = reply.refusal.status()
    encoded = base64.b64encode(status.SerializeToString()).decode().rstrip("=")
    message = _OWN_WORDS if reply.own_words else status.message
    return {
        **_common(reply, is_grpc=True),
        "headers_to_add": [*_headers(reply), _header("grpc-status-details-bin", encoded)],
        "body_format_override": {"text_format_source": {"inline_string": message}},
    }


def _json(reply: Reply) -> dict[str, Any]:
    status: Status = reply.refusal.status()
    body = {
        "code": status.code,
        "message": _OWN_WORDS if reply.own_words else status.message,
        "details": [MessageToDict(detail) for detail in status.details],
    }
    return {
        **_common(reply, is_grpc=False),
        "headers_to_add": _headers(reply),
        "body_format_override": {"json_format": body},
    }


def _common(reply: Reply, *, is_grpc: bool) -> dict[str, Any]:
    filters: list[dict[str, Any]] = [
        {
            "status_code_filter": {
                "comparison": {
                    "op": "EQ",
                    "value": {"default_value": reply.http_status, "runtime_key": "meno.none"},
                }
            }
        },
        *_asked_in_grpc(is_grpc),
    ]
    if reply.details:
        filters.append(_details_contain(reply.details))
    [first, *more] = filters
    common: dict[str, Any] = {"filter": {"and_filter": {"filters": filters}} if more else first}
    return {**common, "status_code": reply.becomes} if reply.becomes else common


def _asked_in_grpc(is_grpc: bool) -> list[dict[str, Any]]:
    """Tells gRPC from JSON, which the transcoder has given the same content type by now."""
    grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    transcoded = {"name": "x-envoy-original-path", "present_match": True}
    if is_grpc:
        return [
            {"header_filter": {"header": grpc}},
            {"header_filter": {"header": {**transcoded, "invert_match": True}}},
        ]
    return []


def _details_contain(text: str) -> dict[str, Any]:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                "expression": f"response.code_details.contains('{text}')",
            },
        }
    }


def _headers(reply: Reply) -> list[dict[str, Any]]:
    """When to try again, where that is part of the refusal."""
    sent = errors.StatusError.of(reply.refusal).trailers()
    return [_header(key, str(value)) for key, value in sent if key == "retry-after"]


def _header(key: str, value: str) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
