"""The configuration keys: each with its type, default and permitted values."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from chassis.errors import FieldInvalid

ROLES = ("UNASSIGNED", "STUDENT", "TEACHER")
UNSET_VERSION = 0
"""The version of an entry that has its default value."""


@dataclass(frozen=True)
class ConfigKey:
    """A configuration key."""

    name: str
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    """The permitted texts of a CHOICE, or of each item of CHOICES."""
    bounds: tuple[int, int] = (0, 0)
    """The minimum and maximum of an INTEGER."""

    @property
    def type(self) -> str:
        """The name of the type in the contract (`ConfigType`)."""
        match self.default:
            case bool():
                return "BOOLEAN"
            case int():
                return "INTEGER"
            case str():
                return "CHOICE"
        return "CHOICES"

    def parse(self, value: Any) -> Any:
        """Returns the value in its stored form. Raises FieldInvalid if the value is not permitted."""
        match self.type, value:
            case "BOOLEAN", bool():
                return value
            # JSON numbers arrive as doubles.
            case "INTEGER", float() if value.is_integer() and self.bounds[0] <= value <= self.bounds[1]:
                return int(value)
            case "CHOICE", str() if value in self.choices:
                return value
            case "CHOICES", list() if {*map(str, value)} <= {*self.choices}:
                return sorted({*map(str, value)})
        raise FieldInvalid.of("value", self._rule(), "config.value")

    def _rule(self) -> str:
        match self.type:
            case "BOOLEAN":
                return "must be true or false"
            case "INTEGER":
                return f"must be a whole number from {self.bounds[0]} to {self.bounds[1]}"
            case "CHOICE":
                return f"must be one of {', '.join(self.choices)}"
        return f"must be a list that contains only {', '.join(self.choices)}"


def create_config_keys(*, signup_role: str, allowed_roles: Collection[str]) -> Mapping[str, ConfigKey]:
    """Returns all keys by name, in alphabetical order. The parameters are defaults from the environment."""
    keys = (
        ConfigKey(
            "signup_role",
            signup_role,
            "Role of new users who request none: STUDENT, TEACHER or UNASSIGNED (an administrator sets a role "
            "later).",
            choices=ROLES,
        ),
        ConfigKey(
            "allowed_roles",
            sorted(allowed_roles),
            "Roles that new users may request: UNASSIGNED, STUDENT, TEACHER.",
            choices=ROLES,
        ),
        ConfigKey("sign_up_enabled", True, "Whether people may create an account themselves."),
        ConfigKey("guest_sign_in_enabled", True, "Whether people may sign in as guests, without an account."),
        ConfigKey(
            "user_purge_days",
            30,
            "Days after which a deleted account is erased, 1 to 3,650.",
            bounds=(1, 3650),
        ),
        ConfigKey(
            "class_purge_days",
            30,
            "Days after which a deleted class is purged, 1 to 3,650.",
            bounds=(1, 3650),
        ),
        ConfigKey(
            "model_purge_days",
            30,
            "Days after which a deleted model backend or model is purged, 1 to 3,650.",
            bounds=(1, 3650),
        ),
        ConfigKey(
            "guest_purge_days",
            30,
            "Days without activity after which a guest is erased, 1 to 3,650.",
            bounds=(1, 3650),
        ),
    )
    return {key.name: key for key in sorted(keys, key=lambda key: key.name)}
