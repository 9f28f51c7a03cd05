"""Headers that the gateway adds to requests and responses."""

from collections.abc import Mapping
from typing import Any

PRIVATE: Mapping[str, str] = {
    # Responses contain tokens and personal data (RFC 6749, 5.1). Proxies must neither compress nor delay streams.
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}
"""The headers of every response except those of the static pages."""

CLIENT_ADDRESS: Mapping[str, str] = {"meno-client-address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
"""The address of the client, which services need. It replaces a header that the client sends."""


GRPC_CONTENT_TYPE: Mapping[str, Any] = {"google_re2": {}, "regex": r"application/grpc(\+.*)?"}
"""The matcher of the content type of gRPC. The transcoder takes any other type for JSON, also `application/grpcx`."""


def added(headers: Mapping[str, str], *, replace: bool = True) -> list[dict[str, Any]]:
    """Returns the setting that adds headers. Without `replace`, an existing header is kept."""
    action = "OVERWRITE_IF_EXISTS_OR_ADD" if replace else "ADD_IF_ABSENT"
    return [
        {"header": {"key": key, "value": value}, "append_action": action} for key, value in headers.items()
    ]
