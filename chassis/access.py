"""Evaluates the `allow` options of an RPC on the decoded request.

The gateway evaluates the same options on the encoded request. A property test compares the decisions of both.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeAlias

from google.protobuf.message import Message

from chassis.calls import Caller
from chassis.contracts import Method
from chassis.errors import AccessDenied, TokenMissing
from meno.access.v1.access_pb2 import Allow, ClassRole, GlobalRole

ME = "me"
"""The value of an owner field that stands for the caller's id."""

Grant: TypeAlias = Callable[[Message, Caller | None, str | None], bool]
"""Returns whether a request is permitted, given the calling user and the calling service."""


class Access:
    """The access rule of one RPC: it permits a call if at least one grant does."""

    def __init__(self, method: Method) -> None:
        self._subjects = method.subjects
        self._grants = tuple(_grant(allow) for allow in method.grants)
        self.needs_token = not any(allow.public or allow.service for allow in method.grants)
        self.uses_token = not method.public_only
        self._callers = describe_callers(method.grants)
        self.needs_peer = any(allow.service for allow in method.grants)

    def replace_me(self, request: Message, caller: Caller | None) -> None:
        """Replaces `me` by the caller's id in the fields that identify the caller."""
        if caller is None:
            return
        for field in self._subjects:
            if getattr(request, field) == ME:
                setattr(request, field, caller.user_id)

    def check(self, request: Message, caller: Caller | None, peer: str | None) -> None:
        """Checks that one grant permits the call.

        Raises TokenMissing if there is no token and one is needed, otherwise AccessDenied.
        """
        for grant in self._grants:
            if grant(request, caller, peer):
                return
        raise TokenMissing() if caller is None and self.needs_token else AccessDenied(self._callers)


@cache
def access_of(method: Method) -> Access:
    """Returns the access rule of an RPC."""
    return Access(method)


def describe_callers(grants: Iterable[Allow]) -> str:
    """Returns the users that the grants permit in words, without a full stop; empty if they permit only services."""
    return "; or ".join(_describe(allow) for allow in grants if not allow.service)


def minimum_role(allow: Allow) -> ClassRole.ValueType:
    """Returns the lowest class role that suffices for the class of a grant."""
    return allow.at_least or ClassRole.CLASS_ROLE_STUDENT


def role_name(role: GlobalRole.ValueType) -> str:
    """Returns the name of a global role in claims and in the database."""
    return GlobalRole.Name(role).removeprefix("GLOBAL_ROLE_")


def class_role_name(role: ClassRole.ValueType) -> str:
    """Returns the name of a class role in claims and in the database."""
    return ClassRole.Name(role).removeprefix("CLASS_ROLE_")


def class_roles_from(least: ClassRole.ValueType) -> frozenset[str]:
    """Returns the names of all class roles that are at least `least`."""
    floor = max(least, ClassRole.CLASS_ROLE_STUDENT)
    return frozenset(class_role_name(role) for role in ClassRole.values() if role >= floor)


def _describe(allow: Allow) -> str:
    if allow.public:
        return "anyone"
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
    minimum = minimum_role(allow)
    member = f"active members of the class in `{allow.member_of}`"
    if minimum != ClassRole.CLASS_ROLE_STUDENT:
        member += f" with at least the role {class_role_name(minimum)}"
    return f"{member}, even if the class is archived" if allow.archived else member


def _grant(allow: Allow) -> Grant:
    if allow.public:
        return lambda request, caller, peer: True
    if allow.service:
        return lambda request, caller, peer: peer == allow.service
    conditions = _user_conditions(allow)

    def permits(request: Message, caller: Caller | None, peer: str | None) -> bool:
        return caller is not None and all(condition(request, caller) for condition in conditions)

    return permits


def _user_conditions(allow: Allow) -> list[Callable[[Message, Caller], bool]]:
    conditions: list[Callable[[Message, Caller], bool]] = []
    if not allow.unassigned:
        conditions.append(lambda request, caller: caller.role != "UNASSIGNED")
    if allow.signed_in and not allow.guest:
        conditions.append(lambda request, caller: not caller.guest)
    if allow.role:
        role = role_name(allow.role)
        conditions.append(lambda request, caller: caller.role == role)
    if owner_field := allow.owner:
        conditions.append(lambda request, caller: getattr(request, owner_field) == caller.user_id)
    if class_field := allow.member_of:
        conditions.append(_is_member(class_field, class_roles_from(allow.at_least), archived=allow.archived))
    if not (allow.signed_in or allow.role or allow.owner or allow.member_of):
        conditions.append(lambda request, caller: False)
    return conditions


def _is_member(
    class_field: str, roles: frozenset[str], *, archived: bool
) -> Callable[[Message, Caller], bool]:
    if archived:
        return lambda request, caller: (
            caller.classes.get(getattr(request, class_field)) in roles
            or caller.archived.get(getattr(request, class_field)) in roles
        )
    return lambda request, caller: caller.classes.get(getattr(request, class_field)) in roles
