"""Calls to other services: mutual TLS, the caller's deadline and token, retries of UNAVAILABLE."""

import json
from typing import TypedDict

import grpc

from chassis import calls
from chassis.tls import TlsCredentials

_MAX_ATTEMPTS = 5
_OPTIONS = (
    ("grpc.enable_retries", 1),
    (
        "grpc.service_config",
        json.dumps(
            {
                "loadBalancingConfig": [{"round_robin": {}}],
                "methodConfig": [
                    {
                        "name": [{}],
                        "retryPolicy": {
                            "maxAttempts": _MAX_ATTEMPTS,
                            "initialBackoff": "0.1s",
                            "maxBackoff": "1s",
                            "backoffMultiplier": 2,
                            "retryableStatusCodes": ["UNAVAILABLE"],
                        },
                    }
                ],
            }
        ),
    ),
    ("grpc.max_metadata_size", 32 * 1024),
    # All services start together, and the others cannot serve before identity_service does.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 30_000),
)


class CallArguments(TypedDict):
    """The arguments of a call beside its request."""

    metadata: tuple[tuple[str, str], ...]
    timeout: float | None
    """Seconds until the deadline."""


def channel(address: str, service: str, credentials: TlsCredentials) -> grpc.aio.Channel:
    """Returns a channel to `service`. The certificate of the server must contain the name of the service."""
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", service))
    return grpc.aio.secure_channel(address, credentials.channel_credentials(), options)


def forwarded() -> CallArguments:
    """Returns call arguments that forward the token, ids and deadline of the current call.

    await content.GetContent(request, **forwarded())
    """
    call = calls.current()
    metadata = [("x-request-id", call.request_id), ("traceparent", call.trace_parent)]
    if call.authorization:
        metadata.append(("authorization", call.authorization))
    return {"metadata": tuple(metadata), "timeout": call.context.time_remaining()}
