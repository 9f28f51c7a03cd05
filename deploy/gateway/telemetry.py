"""Access log and traces of the gateway.

They contain no raw header, path or query, because these can contain secrets.
"""

from typing import Any

COLLECTOR = "trace_collector"

_TYPES = "type.googleapis.com/envoy."
_SAMPLERS = "envoy.tracers.opentelemetry.samplers."


def access_log(path: str) -> dict[str, Any]:
    """Returns an access log with one JSON object for each call."""
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_TYPES}extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {
                "json_format": {
                    "time": "%START_TIME%",
                    "request_id": "%REQ(X-REQUEST-ID)%",
                    "trace_id": "%TRACE_ID%",
                    "rpc": "%ROUTE_NAME%",
                    "user_id": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload:sub)%",
                    "status": "%RESPONSE_CODE%",
                    "grpc_status": "%GRPC_STATUS%",
                    "details": "%RESPONSE_CODE_DETAILS%",
                    "flags": "%RESPONSE_FLAGS%",
                    "milliseconds": "%DURATION%",
                    "upstream_milliseconds": "%RESPONSE_DURATION%",
                    "bytes_in": "%BYTES_RECEIVED%",
                    "bytes_out": "%BYTES_SENT%",
                    "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                }
            },
        },
    }


def tracing(reported_percent: float, cluster: str) -> dict[str, Any]:
    """Returns the tracing configuration (W3C Trace Context). The trace of the caller is continued.

    The reported calls are sampled at random, regardless of the sampling flag of the caller. The tracer
    requires a cluster even if it reports nothing.
    """
    return {
        # The tag `rpc` contains the method, so the path is truncated.
        "max_path_tag_length": 1,
        "custom_tags": [{"tag": "rpc", "value": "%ROUTE_NAME%"}],
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": f"{_TYPES}config.trace.v3.OpenTelemetryConfig",
                "service_name": "gateway",
                "grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": "1s"},
                "sampler": {
                    "name": f"{_SAMPLERS}trace_id_ratio_based",
                    "typed_config": {
                        "@type": f"{_TYPES}extensions.tracers.opentelemetry.samplers.v3"
                        ".TraceIdRatioBasedSamplerConfig",
                        "sampling_percentage": {
                            "numerator": round(100 * reported_percent),
                            "denominator": "TEN_THOUSAND",
                        },
                    },
                },
            },
        },
    }


def request_id() -> dict[str, Any]:
    """Returns the generator of request ids: plain UUIDs that encode no sampling decision."""
    return {
        "typed_config": {
            "@type": f"{_TYPES}extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "pack_trace_reason": False,
            "use_request_id_for_trace_sampling": False,
        }
    }


def collector_cluster(address: str) -> dict[str, Any]:
    """Returns the cluster of an OpenTelemetry collector at `host:port`.

    The connection is not encrypted, so the collector should run next to the gateway.
    """
    host, _, port = address.rpartition(":")
    socket = {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}
    return {
        "name": COLLECTOR,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": COLLECTOR,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket}}]}],
        },
    }
