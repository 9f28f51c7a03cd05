"""The `allow` options as Envoy enforces them: tokens verified, fields extracted, conditions judged."""

from typing import Any

from chassis import tokens
from chassis.access import ME, class_roles_from, role_name
from deploy.gateway import cel
from deploy.gateway.cel import Expression
from deploy.gateway.contracts import Rpc
from meno.access.v1.access_pb2 import Allow

_CACHED_TOKENS = 4096
_CACHED_TOKEN_BYTES = 16384


def token_rules(rpcs: list[Rpc]) -> list[dict[str, Any]]:
    """One rule for each RPC that needs a token; without a rule a token is not looked at."""
    return [
        {"match": {"path": rpc.path}, "requires": {"provider_name": "meno"}} for rpc in rpcs if not rpc.public
    ]


def token_provider(keys_cluster: str) -> dict[str, Any]:
    """How a token is verified: as the services verify it, with the same keys and the same clock skew."""
    return {
        "issuer": tokens.ISSUER,
        "audiences": [tokens.AUDIENCE],
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "require_expiration": True,
        "clock_skew_seconds": int(tokens.CLOCK_SKEW.total_seconds()),
        "payload_in_metadata": "payload",
        "jwt_cache_config": {
            "jwt_cache_size": _CACHED_TOKENS,
            # The default leaves out a token with many classes.
            "jwt_max_token_size": _CACHED_TOKEN_BYTES,
        },
        "remote_jwks": {
            "http_uri": {
                "uri": "http://gateway/.well-known/jwks.json",
                "cluster": keys_cluster,
                "timeout": "2s",
            },
            "cache_duration": f"{int(tokens.KEY_CACHE.total_seconds())}s",
            # The listener must be up before the keys are: they come through this very gateway.
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "0.2s"},
        },
    }


def extractions(rpcs: list[Rpc]) -> dict[str, Any]:
    """The request fields that the conditions ask for, by RPC."""
    return {
        rpc.selector: {"request_field_extractions": {field: {} for field in rpc.identity_fields}}
        for rpc in rpcs
        if rpc.identity_fields
    }


def policies(rpcs: list[Rpc]) -> dict[str, Any]:
    """An allow-list: an RPC that no policy names is denied."""
    return {rpc.path: _policy(rpc) for rpc in rpcs}


def _policy(rpc: Rpc) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "permissions": [{"url_path": {"path": {"exact": rpc.path}}}],
        "principals": [{"any": True}],
    }
    if not rpc.public:
        policy["condition"] = cel.some([_grant(grant) for grant in rpc.grants if not grant.service])
    return policy


def _grant(allow: Allow) -> Expression:
    conditions = []
    if not allow.unassigned:
        conditions.append(cel.differs(cel.claim("role"), cel.text("UNASSIGNED")))
    if allow.signed_in and not allow.guest:
        guest = cel.every([cel.has_claim("guest"), cel.claim("guest")])
        conditions.append(cel.negation(guest))
    if allow.role:
        conditions.append(cel.equals(cel.claim("role"), cel.text(role_name(allow.role))))
    if allow.owner:
        named = cel.request_field(allow.owner)
        conditions.append(cel.some([cel.equals(named, cel.claim("sub")), cel.equals(named, cel.text(ME))]))
    if allow.member_of:
        enough = sorted(class_roles_from(allow.at_least))
        named = cel.request_field(allow.member_of)
        conditions.append(
            cel.some([cel.one_of(cel.entry(cel.claim(held), named), enough) for held in _held(allow)])
        )
    return cel.every(conditions)


def _held(allow: Allow) -> list[str]:
    """The claims that tell a person's classes, of those that the way in looks at."""
    return ["classes", "archived"] if allow.archived else ["classes"]
