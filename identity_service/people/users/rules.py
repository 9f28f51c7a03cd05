"""Rules of people's profiles."""

import unicodedata
from collections.abc import Iterable
from typing import Any

from chassis.errors import FieldInvalid
from identity_service.people.users.store import Profile

NICKNAME = range(2, 51)
CHANGEABLE = Profile._fields

_VISIBLE = {"display_name", "nickname", "board"}
_NUMBERS = {"age", "grade"}


def canonical(identifier: str) -> str:
    """A login name, e-mail address or phone number as it is compared: whatever its case and its form."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", identifier).casefold())


def check_visible(field: str, name: str) -> None:
    """Raises FieldInvalid for a name of white space alone, of which the contract's patterns know only ASCII's."""
    if not name.strip():
        raise FieldInvalid.of(field, "holds more than white space", "name.visible")


def default_nickname(display_name: str) -> str:
    """What the tutor calls a person who did not say: the first name, or all where that is too short.

    The display name is a visible one.
    """
    first = display_name.split(maxsplit=1)[0]
    name = first if len(first) in NICKNAME else display_name.strip()
    return name[: NICKNAME.stop - 1].ljust(NICKNAME.start, "·")


def changed(profile: Profile, wish: Any, mask: Iterable[str]) -> Profile:
    """The profile after an update: the fields of the mask, or those that the wish sets (AIP-134).

    What is empty is cleared, but for the names: a nickname falls back to its default, a display name stays.
    Raises FieldInvalid.
    """
    fields = [*mask] or [name for name in CHANGEABLE if getattr(wish, name)]
    return _replaced(profile, {name: getattr(wish, name) for name in fields}, "user.")


def onboarded(profile: Profile, given: Any) -> Profile:
    """The profile with what somebody gives before their first lesson. Raises FieldInvalid."""
    fields = [name for name in CHANGEABLE if getattr(given, name, None)]
    return _replaced(profile, {name: getattr(given, name) for name in fields}, "")


def _replaced(profile: Profile, values: dict[str, Any], above: str) -> Profile:
    for name in _VISIBLE & values.keys():
        if values[name]:
            check_visible(f"{above}{name}", values[name])
    for name in _NUMBERS & values.keys():
        values[name] = values[name] or None
    if not values.get("nickname", profile.nickname):
        values["nickname"] = default_nickname(values.get("display_name") or profile.display_name)
    if not values.get("display_name", profile.display_name):
        del values["display_name"]
    return profile._replace(**values)
