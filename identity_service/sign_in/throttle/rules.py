"""Rules of the rate limit on failed sign-in attempts.

Attempts are counted by name and network, so that failures in one network do not delay the owner of the name in
another one. All failures of a name together, and all failures in a network together, have limits of their own.
"""

import hashlib
import hmac
from datetime import timedelta
from typing import NamedTuple

BACKOFF: tuple[tuple[int, timedelta], ...] = (
    *((5 + doubled, timedelta(seconds=2**doubled)) for doubled in range(10)),
    (15, timedelta(minutes=15)),
    (50, timedelta(days=1)),
)
"""Pairs of a number of consecutive failures and the delay before the next attempt from that number on.

They apply to the failures of one name in one network. The last step is half of MAX_FAILURES_OF_NAME, so that
one network alone does not reach the limit of the name.
"""

MAX_FAILURES_OF_NAME = 100
"""Number of consecutive failures of one name, in all networks, after which new devices must wait.

It is the maximum that NIST allows (SP 800-63B, rate limiting).
"""
DELAY_OF_NAME = timedelta(days=1)
"""The wait ends after a day, so that an attacker cannot lock out an account permanently."""

AUDITED_FAILURES = {1: "SIGN_IN_FAILED", **dict.fromkeys((5, 15, 50), "SIGN_IN_RATE_LIMITED")}
"""The audit actions of numbers of failures: the first failure, and each failure that begins a longer wait.

Others are not audited, so that an attack does not flood the audit log. Random names are limited by network.
"""

FAILURE_WINDOW = timedelta(days=1)
"""Failures are kept for at least this time."""
MIN_BACKOFFS_KEPT = 30
"""Failures are kept for at least this multiple of the current delay."""

IPV4_BITS = 24
"""Neighbouring IPv4 addresses usually belong to the same person or school."""


class Counter(NamedTuple):
    """The key under which attempts on a name from a network are counted, whether or not the name exists."""

    identifier_hash: bytes
    network_hash: bytes


def counter(key: bytes, name: str, network: str) -> Counter:
    """Returns the counter of the attempts on a name from a network.

    Each kind of proof (password, one-time code) uses its own HMAC key. Attempts on one kind therefore
    neither allow more guesses at the other nor block it.
    """
    return Counter(
        hmac.digest(key, f"attempts\0{name}".encode(), hashlib.sha256),
        hmac.digest(key, f"network\0{network}".encode(), hashlib.sha256),
    )
