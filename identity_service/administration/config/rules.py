"""What can be configured: every key with its type, its default and its bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chassis.errors import FieldInvalid
from identity_service.settings import Settings

ROLES = ("UNASSIGNED", "STUDENT", "TEACHER")


@dataclass(frozen=True)
class Key:
    """One thing that is configured."""

    name: str
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    """The texts that a value may be, or that it may list."""
    bounds: tuple[int, int] = (0, 0)
    """The least and the greatest number."""

    @property
    def type(self) -> str:
        """As the contract's ConfigType spells it."""
        match self.default:
            case bool():
                return "BOOLEAN"
            case int():
                return "INTEGER"
            case str():
                return "CHOICE"
        return "CHOICES"

    def parsed(self, value: Any) -> Any:
        """A value as it is stored. Raises FieldInvalid, which says what is expected."""
        match self.type, value:
            case "BOOLEAN", bool():
                return value
            # Numbers of JSON are doubles.
            case "INTEGER", float() if value.is_integer() and self.bounds[0] <= value <= self.bounds[1]:
                return int(value)
            case "CHOICE", str() if value in self.choices:
                return value
            case "CHOICES", list() if {*map(str, value)} <= {*self.choices}:
                return sorted({*map(str, value)})
        raise FieldInvalid.of("value", self._expected(), "config.value")

    def _expected(self) -> str:
        match self.type:
            case "BOOLEAN":
                return "must be true or false"
            case "INTEGER":
                return f"must be a whole number from {self.bounds[0]} to {self.bounds[1]}"
            case "CHOICE":
                return f"must be one of {', '.join(self.choices)}"
        return f"must be a list of some of {', '.join(self.choices)}"


def keys(settings: Settings) -> Mapping[str, Key]:
    """Every key, in the order of their names; the environment decides some defaults."""
    return {
        key.name: key
        for key in sorted(
            (
                Key(
                    "signup_role",
                    settings.signup_role,
                    "Role of newcomers who ask for none: UNASSIGNED (an administrator gives one), STUDENT or "
                    "TEACHER.",
                    choices=ROLES,
                ),
                Key(
                    "offered_roles",
                    sorted(settings.offered_roles),
                    "Roles that newcomers may ask for: UNASSIGNED, STUDENT, TEACHER.",
                    choices=ROLES,
                ),
                Key("sign_up_open", True, "Whether people may sign up by themselves."),
                Key("guests_admitted", True, "Whether somebody may come in whom nobody knows."),
                Key(
                    "user_purge_days",
                    30,
                    "Days after which a deleted account is erased, 1 to 3,650.",
                    bounds=(1, 3650),
                ),
                Key(
                    "class_purge_days",
                    30,
                    "Days after which a deleted class is purged, 1 to 3,650.",
                    bounds=(1, 3650),
                ),
                Key(
                    "guest_purge_days",
                    30,
                    "Days without use after which a guest is erased, 1 to 3,650.",
                    bounds=(1, 3650),
                ),
            ),
            key=lambda key: key.name,
        )
    }
