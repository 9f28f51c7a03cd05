"""Who may call what, told a second time: from the `allow` options as they stand, and from what is
known of the people of the test. It shares no code with the services or the gateway that it judges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from meno.access.v1.access_pb2 import Allow, ClassRole, GlobalRole

_REASONS = {
    "TOKEN_MISSING": (16, "Sign in, and send the access token as `authorization: Bearer …`."),
    "TOKEN_REVOKED": (16, "Your rights have changed. Refresh the access token."),
    "ACCESS_DENIED": (7, "Permission denied, or it might not exist."),
}


@dataclass(frozen=True)
class Persona:
    """Somebody who calls, and what is true of them."""

    name: str
    user_id: str = ""
    token: str = field(default="", repr=False)
    """Empty: nobody."""
    role: str = ""
    guest: bool = False
    classes: Mapping[str, ClassRole.ValueType] = field(default_factory=dict)
    archived: Mapping[str, ClassRole.ValueType] = field(default_factory=dict)
    shut_out: bool = False
    """Since the token was made they have lost what it claims."""


@dataclass(frozen=True)
class Ways:
    """The ways into an RPC, as its contract declares them."""

    grants: Sequence[Allow]

    @property
    def public(self) -> bool:
        return any(way.public for way in self.grants)

    @property
    def inside(self) -> set[str]:
        """The services that may call as themselves."""
        return {way.service for way in self.grants if way.service}

    @property
    def routed(self) -> bool:
        return any(not way.service for way in self.grants)


def refusal(ways: Ways, persona: Persona, asked: Mapping[str, str], *, through: bool) -> str:
    """The reason for which a call is refused before any rule; empty where it is let in.

    `asked` is the request's text fields; `through` the gateway, or straight to the service.
    """
    if ways.public:
        return ""
    # Only the services follow the feed; what the gateway refuses never reaches them.
    lost = "TOKEN_REVOKED" if persona.shut_out else ""
    if any(_opens(way, persona, asked) for way in ways.grants):
        return lost
    if not through and lost:
        return lost
    nobody = not persona.token
    if nobody and ways.routed and (through or not ways.inside):
        return "TOKEN_MISSING"
    return "ACCESS_DENIED"


def status(reason: str) -> Status:
    """All that an outsider is told, whatever they asked for."""
    code, message = _REASONS[reason]
    told = Status(code=code, message=message)
    told.details.add().Pack(ErrorInfo(reason=reason, domain="meno"))
    return told


def _opens(way: Allow, persona: Persona, asked: Mapping[str, str]) -> bool:
    """Whether one way in is open: whatever it demands holds."""
    if way.service or not persona.token:
        return False
    demands = [persona.role != "UNASSIGNED" or way.unassigned]
    if way.signed_in:
        demands.append(not persona.guest or way.guest)
    if way.role:
        demands.append(f"GLOBAL_ROLE_{persona.role}" == GlobalRole.Name(way.role))
    if way.owner:
        demands.append(asked[way.owner] == persona.user_id)
    if way.member_of:
        class_id = asked[way.member_of]
        held = [persona.classes.get(class_id, 0)]
        if way.archived:
            held.append(persona.archived.get(class_id, 0))
        demands.append(max(held) >= max(way.at_least, ClassRole.CLASS_ROLE_STUDENT))
    return all(demands)
