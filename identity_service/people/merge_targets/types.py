"""Value types of merge targets."""

from typing import NamedTuple


class MergeTarget(NamedTuple):
    """The user that receives data addressed to a user id, following a guest merge."""

    user_id: str
    xp: int
