"""A second implementation of access control: it decides from the `allow` options and the known personas.

It shares no code with the services and the gateway that it checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from meno.access.v1.access_pb2 import Allow, ClassRole, GlobalRole

_REASONS = {
    "TOKEN_MISSING": (16, "Sign in, and send the access token as `authorization: Bearer …`."),
    "TOKEN_REVOKED": (16, "The access token was revoked because your permissions changed. Refresh it."),
    "ACCESS_DENIED": (
        7,
        "Permission denied, or the resource does not exist. {callers}"
        "Refresh the access token if the permission is new.",
    ),
}


@dataclass(frozen=True)
class Persona:
    """A caller and its permissions."""

    name: str
    user_id: str = ""
    token: str = field(default="", repr=False)
    """Empty for an anonymous caller."""
    role: str = ""
    guest: bool = False
    classes: Mapping[str, ClassRole.ValueType] = field(default_factory=dict)
    archived: Mapping[str, ClassRole.ValueType] = field(default_factory=dict)
    revoked: bool = False
    """Whether the user has lost a permission of the token since it was issued."""


@dataclass(frozen=True)
class AccessPolicy:
    """The grants of an RPC, as its contract declares them."""

    grants: Sequence[Allow]

    @property
    def public(self) -> bool:
        return any(grant.public for grant in self.grants)

    @property
    def services(self) -> set[str]:
        """The services that may call the RPC as themselves."""
        return {grant.service for grant in self.grants if grant.service}

    @property
    def routed(self) -> bool:
        return any(not grant.service for grant in self.grants)


def expected_rejection(
    policy: AccessPolicy, persona: Persona, fields: Mapping[str, str], *, through_gateway: bool
) -> str:
    """Returns the reason with which access control must reject a call, or an empty text if it admits the call.

    `fields` contains the text fields of the request. `through_gateway` is false for a direct call to the service.
    """
    if policy.public:
        return ""
    # Only services follow the account feed, and calls that the gateway rejects never reach them.
    revoked = "TOKEN_REVOKED" if persona.revoked else ""
    if any(_is_met(grant, persona, fields) for grant in policy.grants):
        return revoked
    if not through_gateway and revoked:
        return revoked
    is_anonymous = not persona.token
    if is_anonymous and policy.routed and (through_gateway or not policy.services):
        return "TOKEN_MISSING"
    return "ACCESS_DENIED"


def status(reason: str, callers: str = "") -> Status:
    """Returns the complete status of a rejected call. It is the same for every target.

    `callers` are the permitted callers of the RPC in words.
    """
    code, message = _REASONS[reason]
    permitted = f"Permitted callers: {callers}. " if callers else ""
    rejected = Status(code=code, message=message.format(callers=permitted))
    rejected.details.add().Pack(ErrorInfo(reason=reason, domain="meno"))
    return rejected


def _is_met(grant: Allow, persona: Persona, fields: Mapping[str, str]) -> bool:
    """Returns whether the caller meets every condition of a grant."""
    if grant.service or not persona.token:
        return False
    conditions = [persona.role != "UNASSIGNED" or grant.unassigned]
    if grant.signed_in:
        conditions.append(not persona.guest or grant.guest)
    if grant.role:
        conditions.append(f"GLOBAL_ROLE_{persona.role}" == GlobalRole.Name(grant.role))
    if grant.owner:
        conditions.append(fields[grant.owner] == persona.user_id)
    if grant.member_of:
        class_id = fields[grant.member_of]
        roles = [persona.classes.get(class_id, 0)]
        if grant.archived:
            roles.append(persona.archived.get(class_id, 0))
        conditions.append(max(roles) >= max(grant.at_least, ClassRole.CLASS_ROLE_STUDENT))
    return all(conditions)
