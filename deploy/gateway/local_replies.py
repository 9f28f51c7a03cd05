"""Errors that the gateway itself returns, with the same messages and details as those of the services.

A gRPC client receives them as a google.rpc.Status in the trailers, any other client as JSON.
"""

import base64
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from chassis import errors
from chassis.access import describe_callers
from chassis.errors import DomainError
from deploy.gateway.contracts import Rpc
from deploy.gateway.headers import GRPC_CONTENT_TYPE, PRIVATE, added

UNKNOWN_METHOD_ROUTE = "unknown_method"
"""The name of the route of every path that belongs to no method."""

_METADATA = "meno.denied"
_LOCAL_BODY = "%LOCAL_REPLY_BODY% (see /docs for the fields and values of the method)"
_CHALLENGE = {"www-authenticate": 'Bearer realm="meno"'}
"""RFC 9110 requires it beside 401. That of Envoy would repeat Host and path of the caller."""


class MethodNotFound(errors.ChassisError):
    """The path belongs to no RPC."""

    def __init__(self) -> None:
        super().__init__("The method does not exist. See /docs for all methods.")


@dataclass(frozen=True)
class Reply:
    """An error of Envoy, and the error that replaces it."""

    http_status: int
    error: DomainError
    details: str = ""
    """A text in the response code details of Envoy, if the status alone is ambiguous."""
    route: str = ""
    """The name of the route, if the status alone is ambiguous."""
    new_status: int = 0
    """The HTTP status to send instead."""
    keep_body: bool = False
    """Whether the message of Envoy is kept, because it locates the error in the JSON."""
    by_route: bool = False
    """Whether the metadata of the route contain message and status of the error."""


# The first match applies.
REPLIES = (
    # Before the keys have been fetched, a valid token cannot be distinguished from a forged one.
    Reply(401, errors.ServiceUnavailable(), details="Jwks_remote_fetch", new_status=503),
    Reply(401, errors.TokenMissing(), details="Jwt_is_missing"),
    Reply(401, errors.TokenExpired(), details="Jwt_is_expired"),
    Reply(401, errors.TokenInvalid()),
    # Envoy returns 403 for a token with another audience, which is simply invalid.
    Reply(403, errors.TokenInvalid(), details="jwt_authn", new_status=401),
    Reply(403, errors.RequestMalformed("Send one Host header."), details="repeated_host", new_status=400),
    # RBAC denies a gRPC method that does not exist, because no policy names it.
    Reply(403, MethodNotFound(), route=UNKNOWN_METHOD_ROUTE, new_status=404),
    Reply(403, errors.AccessDenied(), by_route=True),
    Reply(404, MethodNotFound()),
    Reply(405, MethodNotFound()),
    Reply(408, errors.DeadlineExceeded()),
    Reply(413, errors.MessageTooLarge()),
    Reply(431, errors.MessageTooLarge()),
    Reply(429, errors.RateLimited()),
    Reply(400, errors.RequestMalformed(), keep_body=True),
    Reply(415, errors.RequestMalformed(), keep_body=True),
    # 501 is an unknown transfer encoding, 426 an outdated HTTP version.
    Reply(501, errors.RequestMalformed(), new_status=400),
    Reply(426, errors.RequestMalformed()),
    Reply(502, errors.ServiceUnavailable()),
    Reply(503, errors.ServiceUnavailable()),
    Reply(504, errors.DeadlineExceeded()),
)


def local_reply_config() -> dict[str, Any]:
    """Returns the local reply configuration, for gRPC and for JSON."""
    return {"mappers": [mapper for reply in REPLIES for mapper in (_grpc(reply), _json(reply))]}


def denial_metadata(rpc: Rpc) -> dict[str, Any]:
    """Returns the metadata of the route of an RPC: the error of a caller whom the access rule does not permit."""
    error = errors.AccessDenied(describe_callers(rpc.grants))
    denied = {"message": error.status().message, "status": _encode(error)}
    return {"filter_metadata": {_METADATA: denied}}


def _grpc(reply: Reply) -> dict[str, Any]:
    encoded = _route_metadata("status") if reply.by_route else _encode(reply.error)
    return {
        **_common(reply, is_grpc=True),
        "headers_to_add": added({**_headers(reply), "grpc-status-details-bin": encoded}),
        "body_format_override": {"text_format_source": {"inline_string": _message(reply)}},
    }


def _json(reply: Reply) -> dict[str, Any]:
    status: Status = reply.error.status()
    body = {
        "code": status.code,
        "message": _message(reply),
        "details": [MessageToDict(detail) for detail in status.details],
    }
    return {
        **_common(reply, is_grpc=False),
        "headers_to_add": added({**_headers(reply), **PRIVATE}),
        "body_format_override": {"json_format": body},
    }


def _message(reply: Reply) -> str:
    if reply.keep_body:
        return _LOCAL_BODY
    return _route_metadata("message") if reply.by_route else reply.error.status().message


def _encode(error: DomainError) -> str:
    """Returns the status of an error as the value of the header grpc-status-details-bin."""
    return base64.b64encode(error.status().SerializeToString()).decode().rstrip("=")


def _route_metadata(key: str) -> str:
    return f"%METADATA(ROUTE:{_METADATA}:{key})%"


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
        *_protocol_filters(is_grpc),
    ]
    if reply.details:
        filters.append(_matches(f"response.code_details.contains('{reply.details}')"))
    if reply.route:
        filters.append(_matches(f"xds.route_name == '{reply.route}'"))
    [first, *more] = filters
    common: dict[str, Any] = {"filter": {"and_filter": {"filters": filters}} if more else first}
    return {**common, "status_code": reply.new_status} if reply.new_status else common


def _protocol_filters(is_grpc: bool) -> list[dict[str, Any]]:
    """Returns the filters that match gRPC requests.

    The transcoder has already given transcoded requests the content type of gRPC.
    """
    grpc = {"name": "content-type", "string_match": {"safe_regex": GRPC_CONTENT_TYPE}}
    transcoded = {"name": "x-envoy-original-path", "present_match": True}
    if is_grpc:
        return [
            {"header_filter": {"header": grpc}},
            {"header_filter": {"header": {**transcoded, "invert_match": True}}},
        ]
    return []


def _matches(expression: str) -> dict[str, Any]:
    """Returns the filter of an expression in CEL."""
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                "expression": expression,
            },
        }
    }


def _headers(reply: Reply) -> dict[str, str]:
    """Returns the headers that belong to an error: retry-after and www-authenticate."""
    trailers = errors.StatusError.of(reply.error).trailers()
    headers = {key: str(value) for key, value in trailers if key == "retry-after"}
    return {**headers, **_CHALLENGE} if reply.error.code is StatusCode.UNAUTHENTICATED else headers
