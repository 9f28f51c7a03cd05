"""How often somebody may call, counted by each replica by address and by person; how much it may hold."""

from typing import Any

from deploy.gateway.contracts import Rpc

PER_PERSON_PER_MINUTE = 1200
PER_ADDRESS_PER_MINUTE = 12_000
"""A school sits behind one address."""

_MINUTE = 60
_COUNTED = 20_000
"""People or addresses that are counted at once; beyond it the longest silent are forgotten."""
_UNBOUNDED = {"max_tokens": 4_000_000_000, "tokens_per_fill": 4_000_000_000, "fill_interval": "60s"}

# A host has a whole IPv6 network of 64 bits to choose its address from, and of IPv4 one.
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
    """Before anything is looked at: bounds what an address can make the gateway do."""
    return {
        **_common("by_address"),
        "descriptors": [_counted([_BY_ADDRESS], PER_ADDRESS_PER_MINUTE)],
        "rate_limits": [{"actions": [_ADDRESS]}],
    }


def by_person(rpcs: list[Rpc]) -> dict[str, Any]:
    """After the token is verified: the general limit, and those that the contracts declare."""
    descriptors = [_counted([{"key": "person"}], PER_PERSON_PER_MINUTE)]
    for rpc in rpcs:
        named = {"key": "rpc", "value": rpc.path}
        if rpc.limit.per_person_per_minute:
            descriptors.append(_counted([named, {"key": "person"}], rpc.limit.per_person_per_minute))
        if rpc.limit.per_address_per_minute:
            descriptors.append(_counted([named, _BY_ADDRESS], rpc.limit.per_address_per_minute))
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
        "max_dynamic_descriptors": _COUNTED,
    }


def _counted(entries: list[dict[str, str]], per_minute: int) -> dict[str, Any]:
    """A bucket that holds a minute's calls and is filled evenly."""
    fill = max(1, per_minute // _MINUTE)
    bucket = {
        "max_tokens": per_minute,
        "tokens_per_fill": fill,
        "fill_interval": f"{_MINUTE * fill / per_minute:.3f}s",
    }
    return {"entries": entries, "token_bucket": bucket}


def overload_manager(max_heap_mib: int) -> dict[str, Any]:
    """What unfinished requests may hold, and how many connections there may be."""
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
