"""The files of a roster and their columns, as OneRoster 1.2 has them (CSV binding, 1EdTech, August 2023)."""

from typing import NamedTuple

MANIFEST = "manifest.csv"
USERS = "users.csv"
ROLES = "roles.csv"
CLASSES = "classes.csv"
ENROLLMENTS = "enrollments.csv"

BULK = "bulk"
"""Of a file that is complete: what it does not name has left."""
DELTA = "delta"
"""Of a file that names what changes."""
ABSENT = "absent"

ACTIVE = "active"
TO_BE_DELETED = "tobedeleted"


class Layout(NamedTuple):
    """The columns of one file."""

    required: frozenset[str]
    """Those without which there is no such file."""
    read: frozenset[str]
    """Those that have a meaning here."""
    ignored: frozenset[str]
    """The others that the specification knows, in this version or the one before."""


_CHANGES = frozenset({"status", "dateLastModified"})
"""Needed in a file that names what changes."""

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
"""Of the files that are read. The others that the specification knows have no meaning here."""

FILES = (*LAYOUTS,)
"""In the order in which a roster is told of."""

EXTENSION = "metadata."
"""Begins the name of a column that belongs to whoever made the file."""

ROLES_OF_PEOPLE = frozenset(
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
"""What people may be in a roster, in a class or beyond it."""
OWN_ROLE = "ext:"
"""Begins a role that belongs to whoever made the file."""


def required(file: str, mode: str) -> frozenset[str]:
    """The columns without which there is no such file in this mode."""
    return LAYOUTS[file].required | (_CHANGES if mode == DELTA else frozenset())
