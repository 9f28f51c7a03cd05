"""What a call comes to that is let in, where that is not plain: each exception with its reason.

A read of what is there is OK. A write of what is there is sent with a broken field, so that nothing
happens: FIELD_INVALID proves the entry, for access comes before validation (AIP-211). What is not
there is asked for whole, and NOT_FOUND.
"""

from collections.abc import Mapping

from tests.access.calls import Outcome
from tests.access.oracle import Persona
from tests.access.targets import Target

OK, NOT_FOUND, ENTERED = "OK", "NOT_FOUND", "FIELD_INVALID"

_NOBODY = {
    "deleted": (OK, "of whom nothing is shown, the list is empty"),
    "non-existent": (OK, "of whom nothing is known, the list is empty"),
}
_EXPORT = {
    "deleted": (OK, "whose account is deleted has a right to what is kept of them"),
    "non-existent": (OK, "of whom nothing is kept, the export is empty"),
}
_DETACH = (OK, "what is not attached needs no taking away, whosever it is")
_ERASED = (NOT_FOUND, "nobody of them was erased")

EXCEPTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "chat.v1.DataRightsService.ExportUserData": _EXPORT,
    "content.v1.DataRightsService.ExportUserData": _EXPORT,
    "identity.v1.DataRightsService.ExportUserData": _EXPORT,
    "session.v1.DataRightsService.ExportUserData": _EXPORT,
    "content.v1.MaterialService.DetachMaterial": {
        "deleted material_id in own": _DETACH,
        "non-existent material_id in own": _DETACH,
        "other's material_id in own": _DETACH,
    },
    "identity.v1.AuthService.ListSignIns": _NOBODY,
    "identity.v1.ClassService.AddMembership": {
        "deleted resource in own": (ENTERED, "who was in the class before may be added again"),
        "deleted resource in other's": (ENTERED, "who was in the class before may be added again"),
        "admin: other's resource in own": (ENTERED, "an administrator may add anybody"),
    },
    "identity.v1.ClassService.DeleteClass": {"deleted": (OK, "deleting it again changes nothing")},
    "identity.v1.ClassService.LeaveClass": {
        "deleted resource in own": (ENTERED, "a membership may be ended whatever became of its class")
    },
    "identity.v1.ClassService.ListClasses": _NOBODY,
    "identity.v1.ClassService.ListMemberships": _NOBODY,
    "identity.v1.ClassService.UndeleteClass": {"deleted": (ENTERED, "it would be there again")},
    "identity.v1.UserService.DeleteUser": {"deleted": (OK, "deleting them again changes nothing")},
    "identity.v1.UserService.EraseUser": {"deleted": (ENTERED, "they would be gone for good")},
    "identity.v1.UserService.GetErasure": {"own": _ERASED, "other's": _ERASED, "deleted": _ERASED},
    "identity.v1.UserService.GetUser": {"deleted": (OK, "an administrator sees who is deleted")},
    "identity.v1.UserService.ListXpEntries": _NOBODY,
    "identity.v1.UserService.UndeleteUser": {"deleted": (ENTERED, "they would be there again")},
}
"""By RPC, then by target, or by persona and target."""

BY_STAND_INS: Mapping[str, str] = {
    "identity.v1.AuthService.SignOutEverywhere": "no field of it can be broken, and it ends the caller's token"
}
"""RPCs that are called whole, by people who are needed for nothing else, and why."""


def exception(name: str, persona: Persona, target: Target) -> str:
    """The ruling for one RPC, persona and target, where there is one."""
    ruled = EXCEPTIONS.get(name, {})
    found = ruled.get(f"{persona.name}: {target}") or ruled.get(str(target)) or ("", "")
    return found[0]


def satisfies(outcome: Outcome, expected: str) -> bool:
    """Whether an outcome is what was expected."""
    if expected == ENTERED:
        return (outcome.code, outcome.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    return outcome.code == expected
