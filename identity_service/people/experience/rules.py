"""Rules of experience points (XP)."""


def apply_xp(xp: int, amount: int) -> int:
    """Returns the amount that an award changes `xp` by. A deduction is at most the available XP."""
    return max(amount, -xp)
