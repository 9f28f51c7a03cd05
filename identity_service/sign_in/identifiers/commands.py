"""Finds or creates the account of a caller with a verified identity."""

from chassis import audit
from chassis.database import Transaction
from identity_service.account_feed import commands as account_feed
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import AccountDeactivated, GuestSignInDisabled
from identity_service.people.users import creation
from identity_service.people.users.creation import NewAccount
from identity_service.people.users.rules import default_nickname
from identity_service.people.users.types import Identifier
from identity_service.sign_in.identifiers import rules, store, verification
from identity_service.sign_in.identifiers.rules import SignInDecision
from identity_service.sign_in.identifiers.types import VerifiedIdentity
from meno.access.v1.resources_pb2 import AuditAction


async def sign_in_or_sign_up(
    transaction: Transaction, config: ConfigReader, verified: VerifiedIdentity
) -> str:
    """Returns the user id of a verified identity. Creates an account if there is none.

    Raises SignUpDisabled, GuestSignInDisabled, or AccountDeactivated if the account is deleted.
    """
    await store.lock(transaction, verified.lock_keys())
    known = await _find_by_identity(transaction, verified)
    user_id, claim = (known, None) if known else await _find_by_address(transaction, verified)
    if user_id is None:
        user_id = await _create(transaction, config, verified)
    elif await store.is_deleted(transaction, user_id):
        raise AccountDeactivated()
    ends_guest = known and not verified.anonymous and await store.is_guest(transaction, user_id)
    if known is None or ends_guest:
        await verification.store_verified(transaction, user_id, verified)
    elif verified.federated:
        await verification.store_identities(transaction, user_id, verified)
    if claim is not None:
        await verification.take_over(transaction, user_id, claim)
    if ends_guest:
        await _end_guest(transaction, config, user_id)
    return user_id


async def _find_by_identity(transaction: Transaction, verified: VerifiedIdentity) -> str | None:
    for identity in verified.identities():
        user_id = await store.user_id_by_identity(transaction, identity)
        if user_id is not None:
            return user_id
    return None


async def _create(transaction: Transaction, config: ConfigReader, verified: VerifiedIdentity) -> str:
    name = verified.display_name()
    if not verified.anonymous:
        role = await creation.default_role(transaction, config)
        return await creation.create(transaction, NewAccount(name, role))
    if not await config.value(transaction, "guest_sign_in_enabled"):
        raise GuestSignInDisabled()
    return await store.add_guest(transaction, name, default_nickname(name))


async def _end_guest(transaction: Transaction, config: ConfigReader, user_id: str) -> None:
    """Makes a guest a regular user, because the issuer now knows who the person is."""
    role = await creation.default_role(transaction, config)
    await store.end_guest(transaction, user_id, role)
    action = AuditAction.AUDIT_ACTION_USER_CREATED
    await audit.record(transaction, action, actor_user_id=user_id, user_id=user_id, role=role)
    await account_feed.revoke_tokens(transaction, user_id)


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
