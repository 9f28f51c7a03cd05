"""Rules of experience."""


def applied(xp: int, amount: int) -> int:
    """What an award adds to so much experience, or takes from it: what was asked for, unless less is there."""
    return max(amount, -xp)
