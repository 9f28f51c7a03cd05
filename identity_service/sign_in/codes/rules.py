"""Rules of one-time codes."""

import hashlib
import hmac
from datetime import timedelta

DIGITS = 6
LIFETIME = timedelta(minutes=10)
MAX_FAILURES_OF_NETWORK = 60
"""Wrong codes of a network in an hour, over all addresses together."""
MAX_SENDS = 5
"""Maximum number of consecutive codes that one network requests for an address, with less than SEND_WINDOW
between them."""
MAX_SENDS_TO_ADDRESS = 20
"""The same for all networks together, so that an attacker neither blocks the owner nor floods the address."""
SEND_WINDOW = timedelta(minutes=15)


def format_code(number: int) -> str:
    """Returns the code of a random number below `10**DIGITS`."""
    return f"{number:0{DIGITS}}"


def address_hash(key: bytes, canonical: str) -> bytes:
    """Returns the key under which the code of an address is stored, whether or not a user has the address."""
    return hmac.digest(key, f"address\0{canonical}".encode(), hashlib.sha256)


def code_hash(key: bytes, canonical: str, code: str) -> bytes:
    """Returns the hash of a code. It is keyed, because a plain digest of six digits is guessed at once."""
    return hmac.digest(key, f"code\0{canonical}\0{code}".encode(), hashlib.sha256)
