"""Rules of memberships."""

ACTIVE = "ACTIVE"
PENDING = "PENDING"
REJECTED = "REJECTED"
LEFT = "LEFT"
REMOVED = "REMOVED"


def status_after_join(status: str | None, join_policy: str) -> str | None:
    """Returns the status of a membership after the user has entered the join code of the class.

    `status` is the status before, or None. Returns None if the class must appear not to exist: removed
    members cannot rejoin by code.
    """
    if status == REMOVED:
        return None
    if status in (ACTIVE, PENDING):
        return status
    return PENDING if join_policy == "APPROVAL" else ACTIVE


def may_add(status: str | None, adder_role: str) -> bool:
    """Returns whether a caller with this global role may make a user a member.

    `status` is the status of the user's membership, or None. A teacher may add only users who have joined the
    class by themselves before, so that a teacher cannot find out which user ids exist.
    """
    return adder_role == "ADMIN" or status is not None


def is_protected(global_role: str, by_role: str) -> bool:
    """Returns whether a caller with the global role `by_role` may not take rights from a member.

    A teacher of a class must not be able to shut an administrator out of it.
    """
    return global_role == "ADMIN" and by_role != "ADMIN"


def must_revoke_tokens(role: str, new_role: str) -> bool:
    """Returns whether a change of the class role takes rights away, so that tokens must be revoked."""
    return role == "TEACHER" and new_role != "TEACHER"
