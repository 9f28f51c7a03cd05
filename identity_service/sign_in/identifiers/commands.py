"""Finds or creates the account of a caller with a verified identity."""

from chassis.database import Transaction
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import AccountDeactivated
from identity_service.people.users import creation
from identity_service.people.users.creation import NewAccount
from identity_service.people.users.types import Identifier
from identity_service.sign_in.identifiers import rules, store, verification
from identity_service.sign_in.identifiers.rules import SignInDecision
from identity_service.sign_in.identifiers.types import VerifiedIdentity


async def sign_in_or_sign_up(
    transaction: Transaction, config: ConfigReader, verified: VerifiedIdentity
) -> str:
    """Returns the user id of a verified identity. Creates an account if there is none.

    Raises SignUpDisabled, or AccountDeactivated if the account is deleted.
    """
    await store.lock(transaction, verified.lock_keys())
    known = await store.user_id_by_identity(transaction, verified.identity) if verified.identity else None
    user_id, claim = (known, None) if known else await _find_by_address(transaction, verified)
    if user_id is None:
        role = await creation.default_role(transaction, config)
        user_id = await creation.create(transaction, NewAccount(verified.display_name(), role))
    elif await store.is_deleted(transaction, user_id):
        raise AccountDeactivated()
    if known is None:
        await verification.store_verified(transaction, user_id, verified)
    if claim is not None:
        await verification.take_over(transaction, user_id, claim)
    return user_id


async def _find_by_address(
    transaction: Transaction, verified: VerifiedIdentity
) -> tuple[str | None, Identifier | None]:
    """Returns the user of one of the addresses, locked, and the address if it was only claimed."""
    claimed: tuple[str | None, Identifier | None] = (None, None)
    for address in verified.addresses:
        owner = await store.lock_owner(transaction, address.canonical)
        decision = rules.decide_sign_in(owner)
        if owner is None or decision is SignInDecision.NEW_ACCOUNT:
            continue
        if decision is SignInDecision.EXISTING_ACCOUNT:
            return owner.user_id, None
        if claimed == (None, None):
            claimed = owner.user_id, address
    return claimed
