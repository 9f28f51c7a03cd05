"""Rules for linking credentials to an account."""

from identity_service.people.users import rules as user_rules
from identity_service.sign_in.credentials.types import LinkRequest, UserRow
from identity_service.sign_in.guests.rules import DEFAULT_NAME
from identity_service.sign_in.identifiers.types import VerifiedIdentity


def choose_display_name(request: LinkRequest, user: UserRow, *, converted: bool) -> str:
    """Returns the display name after linking.

    `converted` means that the user was a guest until now. Only then, and only if the guest has no name of
    their own, the name is taken from the credentials.
    """
    if request.display_name:
        return request.display_name
    if not converted or user.display_name != DEFAULT_NAME:
        return user.display_name
    addresses = (request.address_with_code,) if request.address_with_code else request.claimed_addresses
    name = request.login_name.value if request.login_name else request.verified.name
    return VerifiedIdentity(addresses or request.verified.addresses, name=name).display_name()


def choose_nickname(user: UserRow, display_name: str) -> str:
    """Returns the nickname after a change of the display name. A nickname that the user chose is kept."""
    if user.nickname != user_rules.default_nickname(user.display_name):
        return user.nickname
    return user_rules.default_nickname(display_name)
