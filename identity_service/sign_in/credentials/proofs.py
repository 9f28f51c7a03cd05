"""What somebody shows of who they are: addresses that are theirs, who they are to an issuer."""

from typing import NamedTuple

from chassis.errors import FieldInvalid
from chassis.validation import validate
from identity_service.people.users import rules as user_rules
from identity_service.people.users.store import Identifier
from meno.identity.v1.auth_service_pb2 import RequestOneTimeCodeRequest

LONGEST_NAME = 64


class Identity(NamedTuple):
    """Who somebody is to an issuer of ID tokens."""

    issuer: str
    subject: str


class Proof(NamedTuple):
    """What was shown, and is beyond doubt."""

    addresses: tuple[Identifier, ...] = ()
    """At most one of a kind."""
    identity: Identity | None = None
    name: str = ""
    """What the person is called, where it is known. This is beyond no doubt."""

    def names(self) -> list[str]:
        """What nobody else may be proving or claiming meanwhile."""
        identity = [" ".join(self.identity)] if self.identity else []
        return [*(address.canonical for address in self.addresses), *identity]

    def newcomers_name(self) -> str:
        """What who signs up is called: as they say, or by what stands before the @ of their address."""
        before_at = next((one.value.partition("@")[0] for one in self.addresses if one.kind == "EMAIL"), "")
        return self.name or before_at[:LONGEST_NAME] or "Newcomer"


def address(text: str) -> Identifier | None:
    """The e-mail address or phone number that a text spells, or None.

    One rule for all ways in, the contract's, which knows ASCII alone: otherwise two mailboxes whose
    names differ in their spelling (`ß`, `ss`) would be one address here, and either of them prove it.
    """
    try:
        validate(RequestOneTimeCodeRequest(address=text))
    except (FieldInvalid, ValueError):
        return None
    return Identifier("EMAIL" if "@" in text else "PHONE", text, user_rules.canonical(text))
