"""Rules of the rate limit on failed sign-in attempts."""

import hashlib
import hmac
from datetime import timedelta

BACKOFF: tuple[tuple[int, timedelta], ...] = (
    *((5 + doubled, timedelta(seconds=2**doubled)) for doubled in range(10)),
    (15, timedelta(minutes=15)),
    (100, timedelta(days=1)),
)
"""Pairs of a number of consecutive failures and the delay before the next attempt from that number on.

The last step is the maximum that NIST allows (SP 800-63B, rate limiting: 100 consecutive failures). The
delay ends after a day, so that an attacker cannot lock out an account permanently.
"""

FAILURE_WINDOW = timedelta(days=1)
"""Failures are kept for at least this time."""
MIN_BACKOFFS_KEPT = 30
"""Failures are kept for at least this multiple of the current delay."""


def counter_key(key: bytes, name: str) -> bytes:
    """Returns the key under which attempts on a name are counted, whether or not the name exists.

    Each kind of proof (password, one-time code) uses its own HMAC key. Attempts on one kind therefore
    neither allow more guesses at the other nor block it.
    """
    return hmac.digest(key, f"attempts\0{name}".encode(), hashlib.sha256)
