"""The access rules of an RPC as text and as data."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from chassis.access import ME, class_role_name, role_name
from deploy.gateway.contracts import Rpc
from meno.access.v1.access_pb2 import Allow, ClassRole

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
    if rpc.public:
        return "anyone"
    if not rpc.routed:
        return "only services: " + ", ".join(f"`{allow.service}`" for allow in rpc.grants)
    return "; or ".join(_describe_grant(allow) for allow in _client_grants(rpc))


def to_json(rpc: Rpc) -> list[dict[str, Any]]:
    """Returns the access rules for clients as the contract declares them, with roles without their prefix."""
    rules = []
    for allow in _client_grants(rpc):
        rule = MessageToDict(allow, preserving_proto_field_name=True)
        if allow.role:
            rule["role"] = role_name(allow.role)
        if allow.member_of:
            rule["at_least"] = class_role_name(_minimum_role(allow))
        rules.append(rule)
    return rules


def _client_grants(rpc: Rpc) -> list[Allow]:
    return [allow for allow in rpc.grants if not allow.service]


def _describe_grant(allow: Allow) -> str:
    conditions = []
    if allow.owner:
        conditions.append(f"the user in `{allow.owner}` (`{ME}` is the caller)")
    if allow.member_of:
        conditions.append(_describe_membership(allow))
    if allow.role:
        conditions.append(f"users with the global role {role_name(allow.role)}")
    if allow.signed_in and not conditions:
        conditions.append("any signed-in user, including guests" if allow.guest else "any signed-in user")
    elif allow.signed_in and not allow.guest:
        conditions.append("not a guest")
    unassigned = ", also without an assigned role" if allow.unassigned else ""
    return ", and ".join(conditions) + unassigned


def _describe_membership(allow: Allow) -> str:
    minimum = _minimum_role(allow)
    member = f"active members of the class in `{allow.member_of}`"
    if minimum != ClassRole.CLASS_ROLE_STUDENT:
        member += f" with at least the role {class_role_name(minimum)}"
    return f"{member}, even if the class is archived" if allow.archived else member


def _minimum_role(allow: Allow) -> ClassRole.ValueType:
    return allow.at_least or ClassRole.CLASS_ROLE_STUDENT
