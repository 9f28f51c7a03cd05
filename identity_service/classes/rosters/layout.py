"""The files of a roster and their columns (OneRoster 1.2 CSV binding, 1EdTech, August 2023)."""

from typing import NamedTuple

MANIFEST = "manifest.csv"
USERS = "users.csv"
ROLES = "roles.csv"
CLASSES = "classes.csv"
ENROLLMENTS = "enrollments.csv"

BULK = "bulk"
"""The mode of a complete file: a row that it no longer contains is removed."""
DELTA = "delta"
"""The mode of a file that contains only changes."""
ABSENT = "absent"

ACTIVE = "active"
TO_BE_DELETED = "tobedeleted"


class Layout(NamedTuple):
    """The columns of one file."""

    required: frozenset[str]
    """Columns that the file must have."""
    read: frozenset[str]
    """Columns that the import reads."""
    ignored: frozenset[str]
    """Columns that OneRoster 1.1 or 1.2 defines and that the import ignores."""


_DELTA_COLUMNS = frozenset({"status", "dateLastModified"})
"""Columns that a file in delta mode must have."""

LAYOUTS = {
    USERS: Layout(
        required=frozenset({"sourcedId", "enabledUser", "username", "givenName", "familyName"}),
        read=frozenset(
            {
                "sourcedId",
                "status",
                "enabledUser",
                "username",
                "givenName",
                "familyName",
                "preferredGivenName",
                "preferredFamilyName",
                "email",
                "phone",
                "grades",
                "role",
            }
        ),
        ignored=frozenset(
            {
                "dateLastModified",
                "userIds",
                "middleName",
                "identifier",
                "sms",
                "agentSourcedIds",
                "password",
                "userMasterIdentifier",
                "resourceSourcedIds",
                "preferredMiddleName",
                "primaryOrgSourcedId",
                "pronouns",
                "orgSourcedIds",
            }
        ),
    ),
    ROLES: Layout(
        required=frozenset({"sourcedId", "userSourcedId", "roleType", "role", "orgSourcedId"}),
        read=frozenset({"sourcedId", "status", "userSourcedId", "role"}),
        ignored=frozenset(
            {"dateLastModified", "roleType", "beginDate", "endDate", "orgSourcedId", "userProfileSourcedId"}
        ),
    ),
    CLASSES: Layout(
        required=frozenset(
            {"sourcedId", "title", "courseSourcedId", "classType", "schoolSourcedId", "termSourcedIds"}
        ),
        read=frozenset({"sourcedId", "status", "title"}),
        ignored=frozenset(
            {
                "dateLastModified",
                "grades",
                "courseSourcedId",
                "classCode",
                "classType",
                "location",
                "schoolSourcedId",
                "termSourcedIds",
                "subjects",
                "subjectCodes",
                "periods",
                "resourceSourcedIds",
            }
        ),
    ),
    ENROLLMENTS: Layout(
        required=frozenset({"sourcedId", "classSourcedId", "schoolSourcedId", "userSourcedId", "role"}),
        read=frozenset({"sourcedId", "status", "classSourcedId", "userSourcedId", "role"}),
        ignored=frozenset({"dateLastModified", "schoolSourcedId", "primary", "beginDate", "endDate"}),
    ),
}
"""The files that the import reads. It ignores the other files that OneRoster defines."""

FILES = (*LAYOUTS,)
"""The files in the order in which results list them."""

EXTENSION_COLUMN_PREFIX = "metadata."
"""The prefix of columns that the producer of the file defines."""

ROLE_NAMES = frozenset(
    {
        "administrator",
        "aide",
        "counselor",
        "districtAdministrator",
        "guardian",
        "parent",
        "principal",
        "proctor",
        "relative",
        "siteAdministrator",
        "student",
        "systemAdministrator",
        "teacher",
    }
)
"""The roles that OneRoster defines."""
EXTENSION_ROLE_PREFIX = "ext:"
"""The prefix of roles that the producer of the file defines."""


def required_columns(file: str, mode: str) -> frozenset[str]:
    """Returns the columns that a file must have in this mode."""
    return LAYOUTS[file].required | (_DELTA_COLUMNS if mode == DELTA else frozenset())
