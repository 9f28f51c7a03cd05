"""Who may call an RPC, in words and for programs."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from chassis.access import ME, class_role_name, role_name
from deploy.gateway.contracts import Rpc
from meno.access.v1.access_pb2 import Allow, ClassRole

EXTENSION = "x-meno-access"


def in_words(rpc: Rpc) -> str:
    """A sentence: every way in from outside."""
    if rpc.public:
        return "**Who may call:** anybody. No token is needed, and one that is sent is ignored."
    return f"**Who may call:** {ways(rpc)}."


def ways(rpc: Rpc) -> str:
    """Every way in, without a full stop: from outside, or where there is none, the services that may."""
    if rpc.public:
        return "anybody"
    if not rpc.routed:
        return "inside: " + ", ".join(f"`{allow.service}`" for allow in rpc.grants)
    return "; or ".join(_way(allow) for allow in _from_outside(rpc))


def for_programs(rpc: Rpc) -> list[dict[str, Any]]:
    """The ways in from outside, as the contract declares them, roles without their prefix."""
    ways = []
    for allow in _from_outside(rpc):
        way = MessageToDict(allow, preserving_proto_field_name=True)
        if allow.role:
            way["role"] = role_name(allow.role)
        if allow.member_of:
            way["at_least"] = class_role_name(_least(allow))
        ways.append(way)
    return ways


def _from_outside(rpc: Rpc) -> list[Allow]:
    return [allow for allow in rpc.grants if not allow.service]


def _way(allow: Allow) -> str:
    who = []
    if allow.owner:
        who.append(f"the person that `{allow.owner}` names (`{ME}` is the caller)")
    if allow.member_of:
        who.append(_membership(allow))
    if allow.role:
        who.append(f"whoever has the global role {role_name(allow.role)}")
    if allow.signed_in and not who:
        who.append("anybody who is signed in, guests too" if allow.guest else "anybody who is signed in")
    elif allow.signed_in and not allow.guest:
        who.append("no guest")
    waiting = ", even while waiting for a role" if allow.unassigned else ""
    return ", being also ".join(who) + waiting


def _membership(allow: Allow) -> str:
    least = _least(allow)
    member = f"an active member of the class that `{allow.member_of}` names"
    if least != ClassRole.CLASS_ROLE_STUDENT:
        member += f", as {class_role_name(least)} at least"
    return f"{member}, archived or not" if allow.archived else member


def _least(allow: Allow) -> ClassRole.ValueType:
    return allow.at_least or ClassRole.CLASS_ROLE_STUDENT
