"""Value types of login identifiers and verified identities."""

from typing import NamedTuple

from identity_service.people.users.types import Identifier

MAX_NAME_LENGTH = 64


class ExternalIdentity(NamedTuple):
    """The issuer and the subject of an ID token."""

    issuer: str
    subject: str


class VerifiedIdentity(NamedTuple):
    """The addresses and the external identity that a caller has proved to own."""

    addresses: tuple[Identifier, ...] = ()
    """At most one of each kind."""
    identity: ExternalIdentity | None = None
    name: str = ""
    """Display name, if the provider sends one. Not verified."""
    federated: tuple[ExternalIdentity, ...] = ()
    """Identities at other issuers, which the issuer has verified."""
    anonymous: bool = False
    """Whether the issuer created the identity for a person without credentials."""

    def identities(self) -> tuple[ExternalIdentity, ...]:
        """Returns the external identities, first the one of the issuer."""
        return (self.identity, *self.federated) if self.identity else ()

    def lock_keys(self) -> list[str]:
        """Returns the advisory-lock keys: the identifiers that this operation may change."""
        identities = (" ".join(identity) for identity in self.identities())
        return [*(address.canonical for address in self.addresses), *identities]

    def display_name(self) -> str:
        """Returns the display name of a new user: the name, or else the local part of the e-mail address."""
        emails = (one.value for one in self.addresses if one.kind == "EMAIL")
        local_part = next(emails, "").partition("@")[0]
        return self.name or local_part[:MAX_NAME_LENGTH] or "Newcomer"


class IdentifierRow(NamedTuple):
    """A login identifier of a user."""

    kind: str
    value: str
    canonical: str
    verified: bool


class IdentifierOwner(NamedTuple):
    """The user that has an address, and how their account was used so far."""

    user_id: str
    verified: bool
    """Whether the user has verified this address."""
    otherwise_verified: bool
    """Whether the user has verified another address or an external identity."""
    has_signed_in: bool
    """Whether the account was ever signed in to, or has a password."""
    deleted: bool
