"""Rules that decide which user owns a verified address.

An attacker can sign up with the address of another person and wait for that person to use the account
(pre-hijacking: Sudhodanan and Paverd, USENIX Security 2022). An unverified address is therefore only a claim.

If another caller verifies the address, the claim ends. If the account has nothing except the claim, the caller
gets the account. If the account has verified something else, it only loses the address. If an administrator
created the account for the address and it is unused, the caller gets it unchanged.

An address that its owner has verified stays with that account. Verifying it again signs in to that account.
"""

import enum
import re

from chassis.errors import FieldInvalid
from chassis.validation import validate
from identity_service.people.users import rules as user_rules
from identity_service.people.users.types import Identifier
from identity_service.sign_in.identifiers.types import IdentifierOwner
from meno.identity.v1.auth_service_pb2 import RequestOneTimeCodeRequest

# White space, and the invisible characters that phones put around a copied number. No identifier contains them.
_SURROUNDING = r"[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
_OUTER = re.compile(rf"^{_SURROUNDING}|{_SURROUNDING}$")


class SignInDecision(enum.Enum):
    """The account of a caller who has verified an address and has no other known identity."""

    NEW_ACCOUNT = enum.auto()
    """A new account."""
    EXISTING_ACCOUNT = enum.auto()
    """The account that has the address, unchanged."""
    TAKE_OVER = enum.auto()
    """The account that has the address, after all other access to it has been removed."""


class LinkDecision(enum.Enum):
    """The effect of verifying an address while signed in."""

    KEEP = enum.auto()
    """The user has already verified the address."""
    VERIFY = enum.auto()
    """The user had claimed the address; it is now verified."""
    ADD = enum.auto()
    """No account had the address."""
    TAKE = enum.auto()
    """The address passes to the user from another account that had only claimed it."""
    REJECT = enum.auto()
    """The address stays with another account."""


def decide_sign_in(owner: IdentifierOwner | None) -> SignInDecision:
    """Returns the account of a caller who has verified an address and has no other known identity."""
    if owner is None:
        return SignInDecision.NEW_ACCOUNT
    if owner.verified:
        return SignInDecision.EXISTING_ACCOUNT
    if owner.deleted or owner.otherwise_verified:
        return SignInDecision.NEW_ACCOUNT
    return SignInDecision.TAKE_OVER if owner.has_signed_in else SignInDecision.EXISTING_ACCOUNT


def decide_link(owner: IdentifierOwner | None, user_id: str) -> LinkDecision:
    """Returns the effect of verifying an address while signed in as `user_id`."""
    if owner is None:
        return LinkDecision.ADD
    if owner.user_id == user_id:
        return LinkDecision.KEEP if owner.verified else LinkDecision.VERIFY
    if owner.verified:
        return LinkDecision.REJECT
    # The account was created for this address and has not been used yet. Removing the address would make
    # it unreachable.
    unused = not owner.has_signed_in and not owner.deleted
    return LinkDecision.REJECT if unused else LinkDecision.TAKE


def trim(text: str) -> str:
    """Returns an identifier without the white space around it, which phones add."""
    return _OUTER.sub("", text)


def parse_address(text: str) -> Identifier | None:
    """Returns the e-mail address or phone number in a text, or None if it contains neither.

    White space around it is ignored.

    Every RPC uses this rule, which is that of the contract and accepts only ASCII. Otherwise two mailboxes
    whose names differ only in spelling (`ß`, `ss`) would be one address, and each could verify the other.
    """
    text = trim(text)
    try:
        validate(RequestOneTimeCodeRequest(address=text))
    except (FieldInvalid, ValueError):
        return None
    return Identifier("EMAIL" if "@" in text else "PHONE", text, user_rules.canonicalize(text))
