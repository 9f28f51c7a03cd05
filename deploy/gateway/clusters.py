"""The clusters of Envoy: the services, with their circuit breakers and health checks, and the keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STREAM_PRIORITY = "HIGH"
"""The name that Envoy has for the second set of breakers and connections of a cluster."""
_MAX_UNARY_CALLS = 4096
_MAX_STREAMS = 4096
"""Calls and streams in flight to one service. With 4,240 streams, session_service answered others within 2.2 s."""
_WINDOWS = {"initial_stream_window_size": 2**16, "initial_connection_window_size": 2**31 - 1}
"""Bytes that a service may send before Envoy has passed them on. All streams of a thread share one connection: its
window is larger than those of all its streams together, so that streams whose clients do not read never use it up.
"""
BLACKHOLE: dict[str, Any] = {"name": "blackhole", "type": "STATIC", "connect_timeout": "1s"}
"""A cluster without endpoints, for settings that require a cluster."""

_TYPES = "type.googleapis.com/envoy.extensions."


@dataclass(frozen=True)
class Endpoint:
    """A worker process of a service."""

    host: str
    port: int
    ops_port: int


def service(name: str, endpoints: Sequence[Endpoint], tls_directory: Path) -> dict[str, Any]:
    """Returns the cluster of a service. Its connections are authenticated by both sides."""
    return {
        "name": name,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": _WINDOWS},
            }
        },
        "transport_socket": _mutual_tls(name, tls_directory),
        # Health checks use the ops port, which has no TLS.
        "transport_socket_matches": [
            {
                "name": "ops",
                "match": {"ops": True},
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": {"@type": f"{_TYPES}transport_sockets.raw_buffer.v3.RawBuffer"},
                },
            }
        ],
        "health_checks": [
            {
                "timeout": "1s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {},
                "transport_socket_match_criteria": {"ops": True},
            }
        ],
        # Streams have breakers of their own, so that idle ones never make the unary calls of others fail.
        "circuit_breakers": {
            "thresholds": [
                {
                    "priority": priority,
                    "max_connections": 1024,
                    "max_pending_requests": 1024,
                    "max_requests": calls,
                }
                for priority, calls in (("DEFAULT", _MAX_UNARY_CALLS), (STREAM_PRIORITY, _MAX_STREAMS))
            ]
        },
        "outlier_detection": {"consecutive_gateway_failure": 10, "max_ejection_percent": 50},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_endpoint(endpoint) for endpoint in endpoints]}],
        },
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "endpoint": {
            "address": address(endpoint.host, endpoint.port),
            "health_check_config": {"port_value": endpoint.ops_port},
        }
    }


def _mutual_tls(service: str, directory: Path) -> dict[str, Any]:
    """Returns a TLS socket that presents the gateway certificate and accepts only that of the service."""
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPES}transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": service,
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_certificates": [
                    {
                        "certificate_chain": {"filename": str(directory / "cert.pem")},
                        "private_key": {"filename": str(directory / "key.pem")},
                    }
                ],
                "validation_context": {
                    "trusted_ca": {"filename": str(directory / "ca.pem")},
                    "match_typed_subject_alt_names": [
                        {"san_type": "URI", "matcher": {"exact": f"spiffe://meno/{service}"}}
                    ],
                },
            },
        },
    }


def keys(port: int) -> dict[str, Any]:
    """Returns the cluster of the keys, which is the loopback listener of this gateway."""
    endpoint = {"endpoint": {"address": address("127.0.0.1", port)}}
    return {
        "name": "keys",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "keys", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def address(host: str, port: int, *, ipv4_compat: bool = False) -> dict[str, Any]:
    """Returns a socket address of Envoy."""
    return {"socket_address": {"address": host, "port_value": port, "ipv4_compat": ipv4_compat}}
