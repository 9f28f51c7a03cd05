"""Rate limits by address and by user, counted by each replica, and the limits of memory and connections."""

from typing import Any

from deploy.gateway.contracts import Rpc

PER_USER_PER_MINUTE = 1200
PER_ADDRESS_PER_MINUTE = 12_000
"""High, because all users of a school can share one address."""
JSON_UNITS_PER_SECOND = 40_000
"""The limit of the JSON of one address. A unit is a value, or 16 bytes: 1,000 took up to 1.2 ms of the thread. The
limit is 5 % of it, and 200 bodies of 2 KiB in a second."""

_SECONDS_PER_MINUTE = 60
_MAX_COUNTERS = 20_000
"""The number of users or addresses with a counter. Beyond it, the least recently used ones are dropped."""
_UNBOUNDED = {"max_tokens": 4_000_000_000, "tokens_per_fill": 4_000_000_000, "fill_interval": "60s"}

# A host can use any address of its /64 network in IPv6, but only one address in IPv4.
_ADDRESS = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}
_BY_ADDRESS = {"key": "masked_remote_address"}
_RPC = {"request_headers": {"header_name": ":path", "descriptor_key": "rpc"}}
_PERSON = {
    "metadata": {
        "descriptor_key": "person",
        "metadata_key": {
            "key": "envoy.filters.http.jwt_authn",
            "path": [{"key": "payload"}, {"key": "sub"}],
        },
        "source": "DYNAMIC",
        "skip_if_absent": True,
    }
}


def by_address() -> dict[str, Any]:
    """Returns the limit by address. It applies first, and bounds the work that an address can cause."""
    return {
        **_common("by_address"),
        "descriptors": [_descriptor([_BY_ADDRESS], PER_ADDRESS_PER_MINUTE)],
        "rate_limits": [{"actions": [_ADDRESS]}],
    }


def by_person(rpcs: list[Rpc]) -> dict[str, Any]:
    """Returns the general limit by user and the limits of the contracts. They apply after token verification."""
    descriptors = [_descriptor([{"key": "person"}], PER_USER_PER_MINUTE)]
    for rpc in rpcs:
        key = {"key": "rpc", "value": rpc.path}
        if rpc.limit.per_user_per_minute:
            descriptors.append(_descriptor([key, {"key": "person"}], rpc.limit.per_user_per_minute))
        if rpc.limit.per_address_per_minute:
            descriptors.append(_descriptor([key, _BY_ADDRESS], rpc.limit.per_address_per_minute))
    return {
        **_common("by_person"),
        "descriptors": descriptors,
        "rate_limits": [
            {"actions": [_PERSON]},
            {"actions": [_RPC, _PERSON]},
            {"actions": [_RPC, _ADDRESS]},
        ],
    }


def _common(name: str) -> dict[str, Any]:
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "stat_prefix": name,
        "token_bucket": _UNBOUNDED,
        "filter_enabled": always,
        "filter_enforced": always,
        "rate_limited_as_resource_exhausted": True,
        "always_consume_default_token_bucket": False,
        "max_dynamic_descriptors": _MAX_COUNTERS,
    }


def _descriptor(entries: list[dict[str, str]], per_minute: int) -> dict[str, Any]:
    """Returns a token bucket for the calls of a minute, which is filled evenly."""
    fill = max(1, per_minute // _SECONDS_PER_MINUTE)
    bucket = {
        "max_tokens": per_minute,
        "tokens_per_fill": fill,
        "fill_interval": f"{_SECONDS_PER_MINUTE * fill / per_minute:.3f}s",
    }
    return {"entries": entries, "token_bucket": bucket}


def overload_manager(max_heap_mib: int) -> dict[str, Any]:
    """Returns the limits of the heap and of connections."""
    monitors = "type.googleapis.com/envoy.extensions.resource_monitors."
    heap = "envoy.resource_monitors.fixed_heap"
    return {
        "refresh_interval": "0.25s",
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": f"{monitors}downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": 10_000,
                },
            },
            {
                "name": heap,
                "typed_config": {
                    "@type": f"{monitors}fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": max_heap_mib * 1024 * 1024,
                },
            },
        ],
        "actions": [
            {
                "name": "envoy.overload_actions.reset_high_memory_stream",
                "triggers": [
                    {"name": heap, "scaled": {"scaling_threshold": 0.85, "saturation_threshold": 0.95}}
                ],
            },
            {
                "name": "envoy.overload_actions.stop_accepting_requests",
                "triggers": [{"name": heap, "threshold": {"value": 0.95}}],
            },
        ],
    }
