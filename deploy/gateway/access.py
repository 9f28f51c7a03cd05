"""The `allow` options as configuration of Envoy: token verification, field extraction and RBAC policies."""

from typing import Any

from chassis import tokens
from chassis.access import ME, class_roles_from, role_name
from deploy.gateway import cel
from deploy.gateway.cel import Expression
from deploy.gateway.contracts import Rpc
from meno.access.v1.access_pb2 import Allow

_CACHED_TOKENS = 4096
_CACHED_TOKEN_BYTES = 16384

REPEATED_HOST = {
    "repeated_host": {
        # Envoy joins repeated headers with a comma, which no host contains.
        "permissions": [{"header": {"name": ":authority", "string_match": {"contains": ","}}}],
        "principals": [{"any": True}],
    }
}
"""The policy that matches a request with two Host headers (RFC 9112, 3.2)."""


def token_rules(rpcs: list[Rpc]) -> list[dict[str, Any]]:
    """Returns a rule for each RPC that requires a token. Without a rule, a token is ignored."""
    return [
        {"match": {"path": rpc.path}, "requires": {"provider_name": "meno"}} for rpc in rpcs if not rpc.public
    ]


def token_provider(keys_cluster: str) -> dict[str, Any]:
    """Returns the token verification, with the same keys and clock skew as in the services."""
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
            # The default is too small for a token with many classes.
            "jwt_max_token_size": _CACHED_TOKEN_BYTES,
        },
        "remote_jwks": {
            "http_uri": {
                "uri": "http://gateway/.well-known/jwks.json",
                "cluster": keys_cluster,
                "timeout": "2s",
            },
            "cache_duration": f"{int(tokens.KEY_CACHE.total_seconds())}s",
            # The listener must start without the keys, because they are fetched through this gateway.
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "0.2s"},
        },
    }


def extractions(rpcs: list[Rpc]) -> dict[str, Any]:
    """Returns the request fields that the conditions use, by RPC."""
    return {
        rpc.selector: {"request_field_extractions": {field: {} for field in rpc.identity_fields}}
        for rpc in rpcs
        if rpc.identity_fields
    }


def policies(rpcs: list[Rpc]) -> dict[str, Any]:
    """Returns a policy for each RPC. An RPC without a policy is denied."""
    return {rpc.path: _policy(rpc) for rpc in rpcs}


def _policy(rpc: Rpc) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "permissions": [{"url_path": {"path": {"exact": rpc.path}}}],
        "principals": [{"any": True}],
    }
    if not rpc.public:
        policy["condition"] = cel.any_of([_grant(grant) for grant in rpc.grants if not grant.service])
    return policy


def _grant(allow: Allow) -> Expression:
    conditions = []
    if not allow.unassigned:
        conditions.append(cel.differs(cel.claim("role"), cel.text("UNASSIGNED")))
    if allow.signed_in and not allow.guest:
        guest = cel.all_of([cel.has_claim("guest"), cel.claim("guest")])
        conditions.append(cel.negation(guest))
    if allow.role:
        conditions.append(cel.equals(cel.claim("role"), cel.text(role_name(allow.role))))
    if allow.owner:
        user_id = cel.request_field(allow.owner)
        conditions.append(
            cel.any_of([cel.equals(user_id, cel.claim("sub")), cel.equals(user_id, cel.text(ME))])
        )
    if allow.member_of:
        roles = sorted(class_roles_from(allow.at_least))
        class_id = cel.request_field(allow.member_of)
        conditions.append(
            cel.any_of(
                [cel.one_of(cel.entry(cel.claim(claim), class_id), roles) for claim in _class_claims(allow)]
            )
        )
    return cel.all_of(conditions)


def _class_claims(allow: Allow) -> list[str]:
    """Returns the claims with the classes that a grant covers."""
    return ["classes", "archived"] if allow.archived else ["classes"]
