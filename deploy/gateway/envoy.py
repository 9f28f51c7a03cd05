"""The configuration of Envoy: listeners, filter chain and routes.

docs/gateway.md explains the order of the filters and the single settings, with the tests behind them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from deploy.gateway import access, clusters, contracts, limits, local_replies, telemetry
from deploy.gateway.clusters import Endpoint, address
from deploy.gateway.contracts import Rpc, enum_values, routed_rpcs
from deploy.gateway.headers import CLIENT_ADDRESS, GRPC_CONTENT_TYPE, PRIVATE, added
from deploy.gateway.pages import MAX_BYTES, Page, page_route

KEYS_METHOD = "/meno.access.v1.KeySetService/GetJsonWebKeys"

_TYPES = "type.googleapis.com/envoy.extensions."
_MAX_BODY_BYTES = 8 * 1024 * 1024
_MAX_HEADERS_KIB = 30
"""Enough for a token of 24 KiB. With the headers that Envoy adds, it is below the 36 KiB limit of services."""
_UNARY_TIMEOUT = "30s"
_UNARY_LIFETIME = "35s"
"""The limit of the whole call. The timeout begins only when the request has arrived."""
_UPLOAD_TIMEOUT = "600s"
_STREAM_IDLE_TIMEOUT = "600s"
_CONNECTION_IDLE_TIMEOUT = "60s"
_FIRST_LINE_TIMEOUT = "5s"
"""The time until a connection has sent the first line of HTTP. Clients send it as soon as they are connected."""


@dataclass(frozen=True)
class Gateway:
    """The settings of the gateway."""

    descriptors: Path
    tls_directory: Path
    """The directory with `ca.pem`, `cert.pem` and `key.pem` of the gateway."""
    services: Mapping[str, Sequence[Endpoint]]
    host: str = "::"
    port: int = 8080
    keys_port: int = 8081
    """A port on the loopback, from which Envoy fetches the keys for verifying tokens."""
    admin_port: int = 8082
    """A port on the loopback."""
    allowed_origins: Sequence[str] = ()
    """Browser origins that may call the gateway, such as `https://learn.example.org`."""
    pages: Sequence[Page] = ()
    access_log: str = "/dev/stdout"
    max_heap_mib: int = 1024
    """The heap limit of Envoy. Near it, Envoy resets the largest calls and rejects new ones."""
    trusted_proxies: int = 0
    """The number of proxies in front of the gateway whose X-Forwarded-For is trusted."""
    trace_collector: str = ""
    """`host:port` of an OpenTelemetry collector for traces (OTLP over gRPC)."""
    traced_percent: float = 1.0
    """The percentage of calls that are reported to the collector."""


def configuration(gateway: Gateway) -> dict[str, Any]:
    """Returns the bootstrap configuration of Envoy."""
    rpcs = routed_rpcs(gateway.descriptors)
    return {
        "admin": {"address": address("127.0.0.1", gateway.admin_port), "ignore_global_conn_limit": True},
        "static_resources": {
            "listeners": [_public_listener(gateway, rpcs), _keys_listener(gateway, rpcs)],
            "clusters": [
                *(
                    clusters.service(name, endpoints, gateway.tls_directory)
                    for name, endpoints in gateway.services.items()
                ),
                clusters.keys(gateway.keys_port),
                *([telemetry.collector_cluster(gateway.trace_collector)] if gateway.trace_collector else []),
                clusters.BLACKHOLE,
            ],
        },
        "overload_manager": limits.overload_manager(gateway.max_heap_mib),
    }


def filters(gateway: Gateway, rpcs: list[Rpc]) -> list[dict[str, Any]]:
    """Returns the filter chain of the public listener."""
    return [
        _filter("cors", "cors.v3.Cors"),
        _filter("grpc_web", "grpc_web.v3.GrpcWeb"),
        # Before any filter that reads the host.
        _filter("rbac.host", "rbac.v3.RBAC", rules={"action": "DENY", "policies": access.REPEATED_HOST}),
        # First, because it limits the work that an address can cause.
        _filter("local_ratelimit.by_address", "local_ratelimit.v3.LocalRateLimit", **limits.by_address()),
        _json_body(gateway.descriptors),
        _transcoder(gateway, rpcs),
        # After the transcoder, because its rules match exact gRPC paths.
        _filter(
            "jwt_authn",
            "jwt_authn.v3.JwtAuthentication",
            providers={"meno": access.token_provider("keys")},
            rules=access.token_rules(rpcs),
            # It would repeat Host and path of the caller in `www-authenticate`.
            strip_failure_response=True,
        ),
        # After the token, because it counts by the user in the token.
        _filter("local_ratelimit.by_person", "local_ratelimit.v3.LocalRateLimit", **limits.by_person(rpcs)),
        _filter(
            "grpc_field_extraction",
            "grpc_field_extraction.v3.GrpcFieldExtractionConfig",
            descriptor_set={"filename": str(gateway.descriptors)},
            extractions_by_method=access.extractions(rpcs),
        ),
        # Last, because it needs the claims and the fields. An RPC without a policy is denied.
        _filter("rbac", "rbac.v3.RBAC", rules={"action": "ALLOW", "policies": access.policies(rpcs)}),
        _filter("router", "router.v3.Router"),
    ]


def _public_listener(gateway: Gateway, rpcs: list[Rpc]) -> dict[str, Any]:
    manager = _connection_manager(
        "public",
        filters(gateway, rpcs),
        {
            "name": "public",
            "max_direct_response_body_size_bytes": MAX_BYTES,
            "virtual_hosts": [
                {
                    "name": "meno",
                    "domains": ["*"],
                    "routes": [
                        *map(page_route, gateway.pages),
                        *map(_rpc_route, rpcs),
                        *(
                            _unrouted_route(rpc)
                            for rpc in contracts.rpcs(gateway.descriptors)
                            if not rpc.routed
                        ),
                        _CATCH_ALL_ROUTE,
                    ],
                    "request_headers_to_add": added(CLIENT_ADDRESS),
                    "request_body_buffer_limit": 2 * _MAX_BODY_BYTES,
                    "response_headers_to_add": added(PRIVATE, replace=False),
                    "typed_per_filter_config": {"envoy.filters.http.cors": _cors_policy(gateway)},
                }
            ],
        },
    )
    manager |= {
        "local_reply_config": local_replies.local_reply_config(),
        "access_log": [telemetry.access_log(gateway.access_log)],
        "tracing": _tracing(gateway),
        "request_id_extension": telemetry.request_id(),
        "use_remote_address": True,
        "xff_num_trusted_hops": gateway.trusted_proxies,
        "always_set_request_id_in_response": True,
        "max_request_headers_kb": _MAX_HEADERS_KIB,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
    }
    return _listener("public", gateway.host, gateway.port, manager)


def _tracing(gateway: Gateway) -> dict[str, Any]:
    if gateway.trace_collector:
        return telemetry.tracing(gateway.traced_percent, telemetry.COLLECTOR)
    return telemetry.tracing(0, str(clusters.BLACKHOLE["name"]))


def _keys_listener(gateway: Gateway, rpcs: list[Rpc]) -> dict[str, Any]:
    """Returns a listener that serves only the key set, without rate limits."""
    keys = [rpc for rpc in rpcs if rpc.path == KEYS_METHOD]
    routes = {
        "name": "keys",
        "virtual_hosts": [{"name": "keys", "domains": ["*"], "routes": [*map(_rpc_route, keys)]}],
    }
    chain = [_transcoder(gateway, keys), _filter("router", "router.v3.Router")]
    listener = _listener("keys", "127.0.0.1", gateway.keys_port, _connection_manager("keys", chain, routes))
    # Clients that hold all connections must not keep the gateway from the keys.
    return {**listener, "ignore_global_conn_limit": True}


def _listener(name: str, host: str, port: int, manager: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        # `::` also accepts IPv4.
        "address": address(host, port, ipv4_compat=host == "::"),
        # Otherwise a second gateway could share the port and would receive part of the connections.
        "enable_reuse_port": False,
        # A connection that sends nothing would otherwise hold one of the limited connections until it is idle.
        "listener_filters": [
            {
                "name": "envoy.filters.listener.http_inspector",
                "typed_config": {"@type": f"{_TYPES}filters.listener.http_inspector.v3.HttpInspector"},
            }
        ],
        "listener_filters_timeout": _FIRST_LINE_TIMEOUT,
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _connection_manager(name: str, chain: list[dict[str, Any]], routes: dict[str, Any]) -> dict[str, Any]:
    return {
        "@type": f"{_TYPES}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "http_filters": chain,
        "route_config": routes,
        "stream_idle_timeout": _STREAM_IDLE_TIMEOUT,
        "request_headers_timeout": "10s",
        "common_http_protocol_options": {"idle_timeout": _CONNECTION_IDLE_TIMEOUT},
        "http2_protocol_options": {"max_concurrent_streams": 100},
    }


def _filter(name: str, kind: str, **settings: Any) -> dict[str, Any]:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": f"{_TYPES}filters.http.{kind}", **settings},
    }


def _json_body(descriptors: Path) -> dict[str, Any]:
    """Returns the filter that checks JSON before it is transcoded. Calls of gRPC and gRPC-Web skip it."""
    values = (f'["{name}"]="{", ".join(names)}"' for name, names in enum_values(descriptors).items())
    constants = (
        f"local ENUM_VALUES = {{{','.join(values)}}}",
        f"local UNITS_PER_SECOND = {limits.JSON_UNITS_PER_SECOND}",
    )
    script = files("deploy.gateway").joinpath("json_body.lua").read_text()
    source = {"inline_string": "\n".join((*constants, script))}
    content_type = {
        "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
        "header_name": "content-type",
    }
    is_grpc = {
        "input": {"name": "content-type", "typed_config": content_type},
        "value_match": {"safe_regex": GRPC_CONTENT_TYPE},
    }
    skip = {"@type": f"{_TYPES}filters.common.matcher.action.v3.SkipFilter"}
    on_grpc = {
        "predicate": {"single_predicate": is_grpc},
        "on_match": {"action": {"name": "skip", "typed_config": skip}},
    }
    return {
        "name": "envoy.filters.http.json_body",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
            "extension_config": _filter("lua", "lua.v3.Lua", default_source_code=source),
            "xds_matcher": {"matcher_list": {"matchers": [on_grpc]}},
        },
    }


def _transcoder(gateway: Gateway, rpcs: list[Rpc]) -> dict[str, Any]:
    return _filter(
        "grpc_json_transcoder",
        "grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor=str(gateway.descriptors),
        services=sorted({rpc.grpc_service for rpc in rpcs}),
        convert_grpc_status=True,
        print_options={"stream_sse_style_delimited": True, "always_print_primitive_fields": True},
        max_request_body_size=_MAX_BODY_BYTES,
        max_response_body_size=_MAX_BODY_BYTES,
        # Forms and the URL libraries of most languages write a space as `+`.
        query_param_unescape_plus=True,
        request_validation_options={
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
    )


def _rpc_route(rpc: Rpc) -> dict[str, Any]:
    if rpc.server_streaming:
        timing: dict[str, Any] = {
            "timeout": "0s",
            "idle_timeout": _STREAM_IDLE_TIMEOUT,
            "priority": clusters.STREAM_PRIORITY,
        }
    elif rpc.client_streaming:
        timing = {"timeout": _UPLOAD_TIMEOUT, "idle_timeout": _UNARY_TIMEOUT}
    else:
        timing = {
            "timeout": _UNARY_TIMEOUT,
            "max_stream_duration": {
                "max_stream_duration": _UNARY_LIFETIME,
                "grpc_timeout_header_max": _UNARY_TIMEOUT,
            },
        }
    return {
        "name": rpc.path,
        "match": {"path": rpc.path},
        "metadata": local_replies.denial_metadata(rpc),
        "route": {"cluster": rpc.upstream, "retry_policy": _RETRY_POLICY, **timing},
    }


# Only requests that never reached a service are retried, because they cannot have had an effect. The
# retries last about ten seconds, which is enough for a killed service to restart.
_RETRY_POLICY = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 20,
    "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"},
    "host_selection_retry_max_attempts": 3,
}


def _unrouted_route(rpc: Rpc) -> dict[str, Any]:
    """Returns the route of an RPC for services. RBAC denies it, because no policy names it."""
    return {
        "name": rpc.path,
        "match": {"path": rpc.path},
        "metadata": local_replies.denial_metadata(rpc),
        "direct_response": {"status": 403},
    }


# Before transcoding, an HTTP path has no route, but the CORS filter needs one to find its policy. No
# request reaches the cluster, because RBAC denies every path without a policy.
_CATCH_ALL_ROUTE = {
    "name": local_replies.UNKNOWN_METHOD_ROUTE,
    "match": {"prefix": "/"},
    "route": {
        "cluster": clusters.BLACKHOLE["name"],
        "max_stream_duration": {"max_stream_duration": _UNARY_LIFETIME},
    },
}


def _cors_policy(gateway: Gateway) -> dict[str, Any]:
    return {
        "@type": f"{_TYPES}filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [_origin(origin) for origin in gateway.allowed_origins],
        "allow_methods": "GET, POST, PATCH, DELETE, OPTIONS",
        "allow_headers": "authorization, content-type, grpc-timeout, traceparent, tracestate, x-grpc-web, "
        "x-user-agent",
        "expose_headers": "grpc-status, grpc-message, grpc-status-details-bin, retry-after, x-request-id",
        "max_age": "86400",
        # Answered without permission instead: the transcoder would call OPTIONS an unknown method.
        "forward_not_matching_preflights": False,
    }


def _origin(origin: str) -> dict[str, Any]:
    """Returns the matcher of an origin. An origin that ends in `:*` matches any port."""
    if origin.endswith(":*"):
        escaped = origin.removesuffix(":*").replace(".", "\\.")
        return {"safe_regex": {"regex": f"{escaped}(:[0-9]+)?"}}
    return {"exact": origin}
