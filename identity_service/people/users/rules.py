"""Rules of user profiles and login identifiers."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from chassis.errors import FieldInvalid
from chassis.names import check_visible, trim
from identity_service.people.users.types import Identifier, Profile

NICKNAME_LENGTHS = range(2, 51)
LOGIN_NAME_LENGTHS = range(3, 65)
MAX_DISPLAY_NAME_LENGTH = 64
DEFAULT_DISPLAY_NAME = "Newcomer"

_NUMBERS = {"age", "grade"}


def canonicalize(identifier: str) -> str:
    """Returns the form in which a login name, e-mail address or phone number is compared.

    The form ignores case and Unicode compatibility variants (NFKC).
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", identifier).casefold())


def login_name(text: str) -> Identifier:
    """Returns a login name that satisfies the contract, in the form NFC.

    Raises FieldInvalid if it is too short or too long in this form, which the contract cannot express.
    """
    name = unicodedata.normalize("NFC", text)
    if len(name) not in LOGIN_NAME_LENGTHS:
        problem = f"must have {LOGIN_NAME_LENGTHS.start} to {LOGIN_NAME_LENGTHS.stop - 1} characters"
        raise FieldInvalid.of("login_name", problem, "login_name.length")
    return Identifier("LOGIN_NAME", name, canonicalize(name))


def valid_display_name(name: str) -> str:
    """Returns the display name of a new user, or a default if the name breaks the rule of names.

    Names of requests have been checked. Names in ID tokens have not, and must not prevent a sign-in.
    """
    name = trim(name)
    try:
        check_visible("display_name", name)
    except FieldInvalid:
        return DEFAULT_DISPLAY_NAME
    return name


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


def apply_changes(profile: Profile, changes: Mapping[str, Any]) -> Profile:
    """Returns the profile after an update.

    An empty value clears its field, except the names: a nickname falls back to its default, and a
    display name keeps its value.
    """
    values = dict(changes)
    for name in _NUMBERS & values.keys():
        values[name] = values[name] or None
    if not values.get("nickname", profile.nickname):
        values["nickname"] = default_nickname(values.get("display_name") or profile.display_name)
    if not values.get("display_name", profile.display_name):
        del values["display_name"]
    return profile._replace(**values)
