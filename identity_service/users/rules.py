"""Rules of people's profiles."""

import unicodedata
from collections.abc import Iterable
from typing import Any

from chassis.errors import FieldInvalid
from identity_service.users.store import Profile

NICKNAME = range(2, 51)
CHANGEABLE = Profile._fields


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

    Raises FieldInvalid.
    """
    fields = [*mask] or [name for name in CHANGEABLE if getattr(wish, name)]
    values = {name: getattr(wish, name) for name in fields}
    for name in ("display_name", "nickname"):
        if values.get(name):
            check_visible(f"user.{name}", values[name])
    if not values.get("nickname", profile.nickname):
        values["nickname"] = default_nickname(values.get("display_name") or profile.display_name)
    if not values.get("display_name", profile.display_name):
        del values["display_name"]
    return profile._replace(**values)
