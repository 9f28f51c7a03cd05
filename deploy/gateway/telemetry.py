"""What the gateway tells of the calls: a line in the access log for each, and traces.

Neither holds a header, a path or a query as it came, where secrets could be.
"""

from typing import Any

COLLECTOR = "trace_collector"

_TYPES = "type.googleapis.com/envoy."
_SAMPLERS = "envoy.tracers.opentelemetry.samplers."


def access_log(path: str) -> dict[str, Any]:
    """One JSON object a call."""
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
    """Gives every call a trace (W3C Trace Context), or goes on with that of the caller.

    What is reported is drawn by lot, whatever the caller wishes. The tracer insists on a cluster
    even where it is to report nothing.
    """
    return {
        # The method stands in a tag of its own.
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
    """A UUID of ours for every call, which says nothing but which call it is."""
    return {
        "typed_config": {
            "@type": f"{_TYPES}extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "pack_trace_reason": False,
            "use_request_id_for_trace_sampling": False,
        }
    }


def collector_cluster(address: str) -> dict[str, Any]:
    """An OpenTelemetry collector, `host:port`, asked in plain text: let it stand beside the gateway."""
    host, _, port = address.rpartition(":")
    where = {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}
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
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": where}}]}],
        },
    }
