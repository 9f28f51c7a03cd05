"""The access rules of an RPC as text and as data."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from chassis.access import class_role_name, describe_callers, minimum_role, role_name
from deploy.gateway.contracts import Rpc
from meno.access.v1.access_pb2 import Allow

EXTENSION = "x-meno-access"


def describe(rpc: Rpc) -> str:
    """Returns a sentence with every access rule for clients of the gateway."""
    if rpc.public:
        return "**Callers:** anyone. No token is required, and a token that is sent is ignored."
    return f"**Callers:** {access_rules(rpc)}."


def access_rules(rpc: Rpc) -> str:
    """Returns every access rule without a full stop.

    For an RPC that the gateway does not route, these are the services that may call it.
    """
    if not rpc.routed:
        return "only services: " + ", ".join(f"`{allow.service}`" for allow in rpc.grants)
    return describe_callers(rpc.grants)


def to_json(rpc: Rpc) -> list[dict[str, Any]]:
    """Returns the access rules for clients as the contract declares them, with roles without their prefix."""
    rules = []
    for allow in _client_grants(rpc):
        rule = MessageToDict(allow, preserving_proto_field_name=True)
        if allow.role:
            rule["role"] = role_name(allow.role)
        if allow.member_of:
            rule["at_least"] = class_role_name(minimum_role(allow))
        rules.append(rule)
    return rules


def _client_grants(rpc: Rpc) -> list[Allow]:
    return [allow for allow in rpc.grants if not allow.service]
