"""Value types for linking credentials to an account."""

from typing import NamedTuple

from identity_service.people.users.types import Identifier
from identity_service.sign_in.identifiers.types import VerifiedIdentity


class UserRow(NamedTuple):
    """The fields of a user that linking may change or depends on."""

    display_name: str
    nickname: str
    role: str
    guest: bool
    rights_version: int


class LinkRequest(NamedTuple):
    """The credentials to add to an account."""

    login_name: Identifier | None = None
    address_with_code: Identifier | None = None
    """The address that `code` was sent to."""
    code: str = ""
    claimed_addresses: tuple[Identifier, ...] = ()
    """Addresses without a code."""
    password_hash: str = ""
    verified: VerifiedIdentity = VerifiedIdentity()
    """The identity in the ID token; empty without one."""
    display_name: str = ""
    guest_refresh_token: str = ""
    """The current refresh token of a guest."""

    def has_identifier(self) -> bool:
        """Returns whether the request contains an identifier. A password identifies no user."""
        addresses = self.address_with_code or self.claimed_addresses
        identity = self.verified.identity if not self.verified.anonymous else None
        return bool(self.login_name or addresses or identity)

    def identifier_fields(self) -> list[str]:
        """Returns the names of the fields of the contract with an identifier."""
        identifiers = (self.login_name, self.address_with_code, *self.claimed_addresses)
        fields = [one.kind.lower() for one in identifiers if one]
        return [*fields, "id_token"] if self.verified.identity else fields

    def lock_keys(self) -> list[str]:
        """Returns the advisory-lock keys: the identifiers that this operation may change."""
        identifiers = (self.login_name, self.address_with_code, *self.claimed_addresses)
        return [*{*(one.canonical for one in identifiers if one), *self.verified.lock_keys()}]
