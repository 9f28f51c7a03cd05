"""Rules of memberships."""

MEMBER = "ACTIVE"
WAITS = "PENDING"
REMOVED = "REMOVED"


def after_joining(status: str | None, join_policy: str) -> str | None:
    """What somebody is in a class once they have used its join code; None where it is unknown to them.

    `status` is what they were before. Who was removed does not come back by themselves.
    """
    if status == REMOVED:
        return None
    if status in (MEMBER, WAITS):
        return status
    return WAITS if join_policy == "APPROVAL" else MEMBER


def may_add(status: str | None, adder_role: str) -> bool:
    """Whether somebody may be made a member by whoever has this global role.

    A teacher reaches those alone who came to the class by themselves once; `status` is what became of it.
    """
    return adder_role == "ADMIN" or status is not None
