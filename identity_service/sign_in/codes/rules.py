"""Rules of one-time codes."""

import hashlib
import hmac
import secrets
from datetime import timedelta

DIGITS = 6
LIFETIME = timedelta(minutes=10)
ATTEMPTS = 5
"""Wrong ones after which a code serves no more."""
MOST_SENT = 5
"""Codes in a row to one address, with less than SENT_FORGOTTEN_AFTER between them."""
SENT_FORGOTTEN_AFTER = timedelta(minutes=15)


def new_code() -> str:
    """A code that nobody can foresee."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def address_hash(key: bytes, canonical: str) -> bytes:
    """What the code for an address is found under, whether or not anybody has the address."""
    return hmac.digest(key, f"address\0{canonical}".encode(), hashlib.sha256)


def code_hash(key: bytes, canonical: str, code: str) -> bytes:
    """A code as it is stored: keyed, for of a plain digest six digits are guessed at once."""
    return hmac.digest(key, f"code\0{canonical}\0{code}".encode(), hashlib.sha256)
