"""Rules that decide who owns a verified address, and rules for linking credentials."""

import pytest

from identity_service.people.users.types import Identifier
from identity_service.sign_in.credentials.rules import choose_display_name
from identity_service.sign_in.credentials.types import LinkRequest, UserRow
from identity_service.sign_in.identifiers import rules
from identity_service.sign_in.identifiers.rules import LinkDecision, SignInDecision
from identity_service.sign_in.identifiers.types import ExternalIdentity, IdentifierOwner, VerifiedIdentity


def owner(
    *,
    verified: bool = False,
    otherwise_verified: bool = False,
    has_signed_in: bool = True,
    deleted: bool = False,
) -> IdentifierOwner:
    return IdentifierOwner(
        "x",
        verified=verified,
        otherwise_verified=otherwise_verified,
        has_signed_in=has_signed_in,
        deleted=deleted,
    )


OWNERS = {
    "no account": None,
    "claimed at sign-up": owner(),
    "claimed, another address verified": owner(otherwise_verified=True),
    "claimed by a guest": owner(),
    "created by an administrator": owner(has_signed_in=False),
    "created by an administrator, deleted": owner(has_signed_in=False, deleted=True),
    "claimed, deleted": owner(deleted=True),
    "verified": owner(verified=True),
    "verified, another address also": owner(verified=True, otherwise_verified=True),
    "verified, deleted": owner(verified=True, deleted=True),
}


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("no account", SignInDecision.NEW_ACCOUNT),
        ("claimed at sign-up", SignInDecision.TAKE_OVER),
        ("claimed, another address verified", SignInDecision.NEW_ACCOUNT),
        ("claimed by a guest", SignInDecision.TAKE_OVER),
        ("created by an administrator", SignInDecision.EXISTING_ACCOUNT),
        ("created by an administrator, deleted", SignInDecision.NEW_ACCOUNT),
        ("claimed, deleted", SignInDecision.NEW_ACCOUNT),
        ("verified", SignInDecision.EXISTING_ACCOUNT),
        ("verified, another address also", SignInDecision.EXISTING_ACCOUNT),
        ("verified, deleted", SignInDecision.EXISTING_ACCOUNT),
    ],
)
def test_the_account_that_a_verified_address_signs_in_to(name: str, decision: SignInDecision) -> None:
    assert rules.decide_sign_in(OWNERS[name]) is decision


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("no account", LinkDecision.ADD),
        ("claimed at sign-up", LinkDecision.TAKE),
        ("claimed, another address verified", LinkDecision.TAKE),
        ("claimed by a guest", LinkDecision.TAKE),
        ("created by an administrator", LinkDecision.REJECT),
        ("created by an administrator, deleted", LinkDecision.TAKE),
        ("claimed, deleted", LinkDecision.TAKE),
        ("verified", LinkDecision.REJECT),
        ("verified, another address also", LinkDecision.REJECT),
        ("verified, deleted", LinkDecision.REJECT),
    ],
)
def test_the_effect_of_verifying_an_address_of_another_account(name: str, decision: LinkDecision) -> None:
    assert rules.decide_link(OWNERS[name], "y") is decision


@pytest.mark.parametrize("name", [name for name, owner in OWNERS.items() if owner])
def test_a_user_never_loses_an_address_by_verifying_it(name: str) -> None:
    owner = OWNERS[name]
    assert owner is not None
    assert rules.decide_link(owner, "x") is (LinkDecision.KEEP if owner.verified else LinkDecision.VERIFY)


@pytest.mark.parametrize("name", OWNERS)
def test_linking_never_takes_an_address_from_an_account_that_it_signs_in_to(name: str) -> None:
    """The two decisions are consistent: signing in and linking never disagree about the owner."""
    if rules.decide_sign_in(OWNERS[name]) is SignInDecision.EXISTING_ACCOUNT:
        assert rules.decide_link(OWNERS[name], "y") is LinkDecision.REJECT


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Ada@Example.org", ("EMAIL", "ada@example.org")),
        ("+a@example.org", ("EMAIL", "+a@example.org")),
        ("+919876543210", ("PHONE", "+919876543210")),
        ("919876543210", None),
        ("stra\u00dfe@example.org", None),
        ("ada@ex\u00e4mple.org", None),
        ("\uff41da@example.org", None),
        ("ada@example.org\r\nBcc: eve@example.org", None),
        ("a@" + "x" * 200 + ".org", None),
        ("\ud800@example.org", None),
        ("", None),
    ],
)
def test_only_addresses_that_the_contract_accepts_are_parsed(
    text: str, address: tuple[str, str] | None
) -> None:
    parsed = rules.parse_address(text)
    assert (parsed and (parsed.kind, parsed.canonical)) == address


EMAIL = Identifier("EMAIL", "ada@example.org", "ada@example.org")
PHONE = Identifier("PHONE", "+919876543210", "+919876543210")
ID_TOKEN = ExternalIdentity("i", "s")


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (LinkRequest(address_with_code=EMAIL), "ada"),
        (LinkRequest(claimed_addresses=(PHONE,)), "Newcomer"),
        (
            LinkRequest(login_name=Identifier("LOGIN_NAME", "Lovelace", "lovelace"), address_with_code=EMAIL),
            "Lovelace",
        ),
        (LinkRequest(verified=VerifiedIdentity((EMAIL,), ID_TOKEN, "Ada L.")), "Ada L."),
        (LinkRequest(verified=VerifiedIdentity((EMAIL,), ID_TOKEN)), "ada"),
        (LinkRequest(address_with_code=EMAIL, display_name="Countess"), "Countess"),
    ],
)
def test_a_guest_without_a_name_gets_one_from_the_linked_credentials(
    request_: LinkRequest, name: str
) -> None:
    guest = UserRow("Guest", "Guest", "STUDENT", guest=True, rights_version=0)
    assert choose_display_name(request_, guest, converted=True) == name
    named = guest._replace(display_name="Byron")
    assert choose_display_name(request_, named, converted=True) == (request_.display_name or "Byron")
