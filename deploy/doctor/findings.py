"""What an examination finds."""

import enum
from dataclasses import dataclass


class Mark(enum.StrEnum):
    """How it is."""

    GOOD = "good"
    WRONG = "wrong"
    NOT_NOW = "not now"
    """It cannot be examined while the stack is down, or needs to be made first."""


@dataclass(frozen=True)
class Finding:
    """One thing that was examined."""

    what: str
    mark: Mark
    detail: str = ""
    hint: str = ""
    """What to do."""


def good(what: str, detail: object = "") -> Finding:
    """It is as it should be."""
    return Finding(what, Mark.GOOD, str(detail))


def wrong(what: str, detail: object, hint: str) -> Finding:
    """It is not, and what to do."""
    return Finding(what, Mark.WRONG, str(detail), hint)


def not_now(what: str, detail: object) -> Finding:
    """It was not examined, and why."""
    return Finding(what, Mark.NOT_NOW, str(detail))


def judged(what: str, detail: object, hint: str, *, passed: bool) -> Finding:
    """It is as it should be, or not."""
    return good(what, detail) if passed else wrong(what, detail, hint)
