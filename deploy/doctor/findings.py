"""Findings of the checks."""

import enum
from dataclasses import dataclass

from chassis.tokens import CLOCK_SKEW


class Status(enum.StrEnum):
    """The result of a check."""

    OK = "ok"
    PROBLEM = "problem"
    SKIPPED = "skipped"
    """The check needs a running stack, or the first start of one."""


@dataclass(frozen=True)
class Finding:
    """The result of a check, with its details."""

    name: str
    status: Status
    detail: str = ""
    hint: str = ""
    """How to fix the problem."""


def ok(name: str, detail: object = "") -> Finding:
    """Returns the finding of a check that passed."""
    return Finding(name, Status.OK, str(detail))


def problem(name: str, detail: object, hint: str) -> Finding:
    """Returns the finding of a check that failed."""
    return Finding(name, Status.PROBLEM, str(detail), hint)


def skipped(name: str, detail: object) -> Finding:
    """Returns the finding of a check that could not run, with the reason."""
    return Finding(name, Status.SKIPPED, str(detail))


def check(name: str, detail: object, hint: str, *, passed: bool) -> Finding:
    """Returns the finding of a check that passed or failed."""
    return ok(name, detail) if passed else problem(name, detail, hint)


def check_clock(name: str, detail: object, difference_seconds: float) -> Finding:
    """Returns the finding of a check of two clocks, which may differ as much as tokens allow."""
    hint = "set the clock of this machine, because the validity of tokens depends on it"
    return check(name, detail, hint, passed=difference_seconds < CLOCK_SKEW.total_seconds())
