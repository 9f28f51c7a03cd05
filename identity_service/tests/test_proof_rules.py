"""Whose an address is, once somebody proves it."""

import pytest

from identity_service.people.users.store import Identifier
from identity_service.sign_in.credentials import proofs, rules
from identity_service.sign_in.credentials.linking import Wish
from identity_service.sign_in.credentials.proofs import Identity, Proof
from identity_service.sign_in.credentials.rules import Arrival, Holder, Linking
from identity_service.sign_in.credentials.store import PersonRow

HOLDERS = {
    "nobody": None,
    "who signed up and gave it": Holder(
        "x", proven=False, otherwise_proven=False, opened=True, deleted=False
    ),
    "who gave it and proved another": Holder(
        "x", proven=False, otherwise_proven=True, opened=True, deleted=False
    ),
    "who gave it to a guest's account": Holder(
        "x", proven=False, otherwise_proven=False, opened=True, deleted=False
    ),
    "whom an administrator made an account": Holder(
        "x", proven=False, otherwise_proven=False, opened=False, deleted=False
    ),
    "who was on a roster that is no more": Holder(
        "x", proven=False, otherwise_proven=False, opened=False, deleted=True
    ),
    "who gave it and left": Holder("x", proven=False, otherwise_proven=False, opened=True, deleted=True),
    "who proved it": Holder("x", proven=True, otherwise_proven=False, opened=True, deleted=False),
    "who proved it and another": Holder("x", proven=True, otherwise_proven=True, opened=True, deleted=False),
    "who proved it and left": Holder("x", proven=True, otherwise_proven=False, opened=True, deleted=True),
}


@pytest.mark.parametrize(
    ("holder", "arrival"),
    [
        ("nobody", Arrival.NEWCOMER),
        ("who signed up and gave it", Arrival.RECLAIMED),
        ("who gave it and proved another", Arrival.NEWCOMER),
        ("who gave it to a guest's account", Arrival.RECLAIMED),
        ("whom an administrator made an account", Arrival.HOLDER),
        ("who was on a roster that is no more", Arrival.NEWCOMER),
        ("who gave it and left", Arrival.NEWCOMER),
        ("who proved it", Arrival.HOLDER),
        ("who proved it and another", Arrival.HOLDER),
        ("who proved it and left", Arrival.HOLDER),
    ],
)
def test_who_proves_an_address_belongs(holder: str, arrival: Arrival) -> None:
    assert rules.on_arrival(HOLDERS[holder]) is arrival


@pytest.mark.parametrize(
    ("holder", "linking"),
    [
        ("nobody", Linking.ADD),
        ("who signed up and gave it", Linking.TAKE),
        ("who gave it and proved another", Linking.TAKE),
        ("who gave it to a guest's account", Linking.TAKE),
        ("whom an administrator made an account", Linking.REFUSE),
        ("who was on a roster that is no more", Linking.TAKE),
        ("who gave it and left", Linking.TAKE),
        ("who proved it", Linking.REFUSE),
        ("who proved it and another", Linking.REFUSE),
        ("who proved it and left", Linking.REFUSE),
    ],
)
def test_an_address_that_is_proven_from_within_an_account_becomes(holder: str, linking: Linking) -> None:
    assert rules.on_linking(HOLDERS[holder], "y") is linking


@pytest.mark.parametrize("name", [name for name, holder in HOLDERS.items() if holder])
def test_nobody_loses_an_address_to_themselves(name: str) -> None:
    holder = HOLDERS[name]
    assert holder is not None
    assert rules.on_linking(holder, "x") is (Linking.KEEP if holder.proven else Linking.PROVE)


@pytest.mark.parametrize("name", HOLDERS)
def test_who_is_let_in_to_an_account_is_never_taken_from_it(name: str) -> None:
    """What somebody gets by coming with a proof, and what by linking it, never contradict each other."""
    holder = HOLDERS[name]
    if rules.on_arrival(holder) is Arrival.HOLDER:
        assert rules.on_linking(holder, "y") is Linking.REFUSE


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
def test_only_what_the_contract_accepts_is_an_address(text: str, address: tuple[str, str] | None) -> None:
    found = proofs.address(text)
    assert (found and (found.kind, found.canonical)) == address


EMAIL = Identifier("EMAIL", "ada@example.org", "ada@example.org")
PHONE = Identifier("PHONE", "+919876543210", "+919876543210")


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        (Wish(proven=EMAIL), "ada"),
        (Wish(claimed=(PHONE,)), "Newcomer"),
        (Wish(login_name=Identifier("LOGIN_NAME", "Lovelace", "lovelace"), proven=EMAIL), "Lovelace"),
        (Wish(proof=Proof((EMAIL,), Identity("i", "s"), "Ada L.")), "Ada L."),
        (Wish(proof=Proof((EMAIL,), Identity("i", "s"))), "ada"),
        (Wish(proven=EMAIL, display_name="Countess"), "Countess"),
    ],
)
def test_a_guest_without_a_name_gets_one_with_what_they_sign_in_with(wish: Wish, name: str) -> None:
    guest = PersonRow("Guest", "Guest", "STUDENT", guest=True, rights_version=0)
    assert wish.name_of(guest, becomes=True) == name
    named = guest._replace(display_name="Byron")
    assert wish.name_of(named, becomes=True) == (wish.display_name or "Byron")
