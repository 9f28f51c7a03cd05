"""The expected outcome of admitted calls that deviate from the general rules, each with its reason.

General rules: a read of an existing resource returns OK. A write to an existing resource is sent with an
invalid field, so that it has no effect: FIELD_INVALID proves that the caller was admitted, because access is
checked before validation (AIP-211). A valid request for a missing resource returns NOT_FOUND.
"""

from collections.abc import Mapping

from tests.access.calls import Outcome
from tests.access.oracle import Persona
from tests.access.targets import Target

OK, NOT_FOUND, ADMITTED = "OK", "NOT_FOUND", "FIELD_INVALID"

_EMPTY_LIST = {
    "deleted": (OK, "the list of a deleted user or class is empty"),
    "non-existent": (OK, "the list of a user or class that does not exist is empty"),
}
_EXPORT = {
    "deleted": (OK, "the user of a deleted account may export the data that is still stored"),
    "non-existent": (OK, "the export of a user without data is empty"),
}
_DETACH = (OK, "detaching a material that is not attached changes nothing")
_NO_ERASURE = (NOT_FOUND, "the user was not erased")

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
    "identity.v1.AdminService.DeleteModel": {"deleted": (OK, "a second deletion changes nothing")},
    "identity.v1.AdminService.DeleteModelBackend": {"deleted": (OK, "a second deletion changes nothing")},
    "identity.v1.AdminService.UndeleteModel": {"deleted": (ADMITTED, "the model would be restored")},
    "identity.v1.AdminService.UndeleteModelBackend": {"deleted": (ADMITTED, "the backend would be restored")},
    "identity.v1.AuthService.ListSignIns": _EMPTY_LIST,
    "identity.v1.ClassService.AddMembership": {
        "deleted resource in own": (ADMITTED, "a former member may be added again"),
        "deleted resource in other's": (ADMITTED, "a former member may be added again"),
        "admin: other's resource in own": (ADMITTED, "an administrator may add any user"),
    },
    "identity.v1.ClassService.DeleteClass": {"deleted": (OK, "a second deletion changes nothing")},
    "identity.v1.ClassService.LeaveClass": {
        "deleted resource in own": (ADMITTED, "a member may leave a class that is deleted")
    },
    "identity.v1.ClassService.ListClasses": _EMPTY_LIST,
    "identity.v1.ClassService.ListMemberships": _EMPTY_LIST,
    "identity.v1.ClassService.UndeleteClass": {"deleted": (ADMITTED, "the class would be restored")},
    "identity.v1.UserService.DeleteUser": {"deleted": (OK, "a second deletion changes nothing")},
    "identity.v1.UserService.EraseUser": {"deleted": (ADMITTED, "the user would be erased")},
    "identity.v1.UserService.GetErasure": {
        "own": _NO_ERASURE,
        "other's": _NO_ERASURE,
        "deleted": _NO_ERASURE,
    },
    "identity.v1.UserService.GetUser": {"deleted": (OK, "an administrator sees deleted users")},
    "identity.v1.UserService.ListXpEntries": _EMPTY_LIST,
    "identity.v1.UserService.UndeleteUser": {"deleted": (ADMITTED, "the user would be restored")},
}
"""The code and the reason, by RPC and then by target, or by persona and target."""

WITH_DISPOSABLE_PERSONAS: Mapping[str, str] = {
    "identity.v1.AuthService.SignOutEverywhere": "it has no field that can be invalid, and it revokes the token"
}
"""RPCs that are called with valid requests by personas that no other test uses, with the reason."""


def find_exception(name: str, persona: Persona, target: Target) -> str:
    """Returns the expected code of an exception, or an empty text if the general rules apply."""
    exceptions = EXCEPTIONS.get(name, {})
    code, _ = exceptions.get(f"{persona.name}: {target}") or exceptions.get(str(target)) or ("", "")
    return code


def matches(outcome: Outcome, expected: str) -> bool:
    """Returns whether an outcome is the expected one."""
    if expected == ADMITTED:
        return (outcome.code, outcome.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    return outcome.code == expected
