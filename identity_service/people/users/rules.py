"""Rules of user profiles and login identifiers."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from chassis.errors import FieldInvalid
from identity_service.people.users.types import Profile

NICKNAME_LENGTHS = range(2, 51)
MAX_DISPLAY_NAME_LENGTH = 64

_NOT_BLANK = {"display_name", "nickname", "board"}
_NUMBERS = {"age", "grade"}


def canonicalize(identifier: str) -> str:
    """Returns the form in which a login name, e-mail address or phone number is compared.

    The form ignores case and Unicode compatibility variants (NFKC).
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", identifier).casefold())


def check_not_blank(field: str, name: str) -> None:
    """Raises FieldInvalid if a name contains only white space.

    The pattern in the contract covers only ASCII white space; this check covers Unicode.
    """
    if not name.strip():
        raise FieldInvalid.of(field, "must not be blank", "name.visible")


def default_display_name(full_name: str) -> str:
    """Returns the display name of a user who chose none.

    It is the full name, or the words of it for which a display name has room. The words of the full name
    are separated by single spaces.
    """
    if len(full_name) <= MAX_DISPLAY_NAME_LENGTH:
        return full_name
    words = full_name[: MAX_DISPLAY_NAME_LENGTH + 1].rpartition(" ")[0]
    return words or full_name[:MAX_DISPLAY_NAME_LENGTH]


def default_nickname(display_name: str) -> str:
    """Returns the nickname of a user who chose none.

    It is the first word of the display name, or the whole display name if that word is too short. The
    display name must not be blank.
    """
    first = display_name.split(maxsplit=1)[0]
    name = first if len(first) in NICKNAME_LENGTHS else display_name.strip()
    return name[: NICKNAME_LENGTHS.stop - 1].ljust(NICKNAME_LENGTHS.start, "·")


def apply_changes(profile: Profile, changes: Mapping[str, Any], path: str = "") -> Profile:
    """Returns the profile after an update.

    An empty value clears its field, except the names: a nickname falls back to its default, and a
    display name keeps its value. `path` is the prefix of the fields in errors. Raises FieldInvalid.
    """
    values = dict(changes)
    for name in _NOT_BLANK & values.keys():
        if values[name]:
            check_not_blank(f"{path}{name}", values[name])
    for name in _NUMBERS & values.keys():
        values[name] = values[name] or None
    if not values.get("nickname", profile.nickname):
        values["nickname"] = default_nickname(values.get("display_name") or profile.display_name)
    if not values.get("display_name", profile.display_name):
        del values["display_name"]
    return profile._replace(**values)
