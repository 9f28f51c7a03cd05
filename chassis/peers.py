"""Calls to the other services: mutual TLS, the caller's own deadline and token, retries of UNAVAILABLE."""

import json
from typing import Any

import grpc

from chassis import calls
from chassis.tls import Identity

_ATTEMPTS = 5
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
                            "maxAttempts": _ATTEMPTS,
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
    # Services of one installation start together, and the others wait for the one that signs.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 30_000),
)


def channel(address: str, service: str, identity: Identity) -> grpc.aio.Channel:
    """A channel to `service`, whose certificate must name it."""
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", service))
    return grpc.aio.secure_channel(address, identity.channel_credentials(), options)


def forwarded() -> dict[str, Any]:
    """Arguments for a call made on behalf of the current one: its token, ids and deadline.

    await content.GetContent(request, **forwarded())
    """
    call = calls.current()
    metadata = [("x-request-id", call.request_id), ("traceparent", call.trace_parent)]
    if call.authorization:
        metadata.append(("authorization", call.authorization))
    return {"metadata": tuple(metadata), "timeout": call.context.time_remaining()}
