"""Applies the effects of a verified identity: ownership of addresses, and the end of claims."""

from chassis import audit
from chassis.database import Transaction
from chassis.errors import ServiceUnavailable
from identity_service.people.users.types import Identifier
from identity_service.sign_in.identifiers import rules, store
from identity_service.sign_in.identifiers.rules import LinkDecision
from identity_service.sign_in.identifiers.types import VerifiedIdentity
from identity_service.sign_in.passwords import store as passwords
from identity_service.sign_in.sign_ins import commands as sign_ins
from meno.access.v1.resources_pb2 import AuditAction


async def verify_identifier(transaction: Transaction, user_id: str, address: Identifier) -> LinkDecision:
    """Gives an address, which is locked, to the user who has verified it, and returns the decision.

    It replaces another address of the same kind. Raises ServiceUnavailable if another transaction claims
    the address at the same time.
    """
    owner = await store.lock_owner(transaction, address.canonical)
    decision = rules.decide_link(owner, user_id)
    if decision in (LinkDecision.KEEP, LinkDecision.REJECT):
        return decision
    if decision is LinkDecision.VERIFY:
        await store.mark_verified(transaction, user_id, address.canonical)
    else:
        if owner is not None:
            await store.delete_by_kind(transaction, owner.user_id, address.kind)
            await _record_claim_lost(transaction, owner.user_id, address, verified_by=user_id)
        await store.delete_by_kind(transaction, user_id, address.kind)
        if not await store.add(transaction, user_id, address, verified=True):
            raise ServiceUnavailable()
    await record_linked(transaction, user_id, address.kind)
    return decision


async def store_verified(transaction: Transaction, user_id: str, verified: VerifiedIdentity) -> None:
    """Stores a verified identity, so that it signs the user in the next time.

    The addresses and the external identities are locked. Addresses and identities that stay with another user
    are skipped. Raises ServiceUnavailable if another transaction claims an
    address at the same time.
    """
    identifiers = await store.list_by_user(transaction, user_id)
    verified_kinds = {one.kind for one in identifiers.values() if one.verified}
    for address in verified.addresses:
        # A verified address is replaced only on request, not as a side effect of signing in.
        if address.kind not in verified_kinds:
            await verify_identifier(transaction, user_id, address)
    await store_identities(transaction, user_id, verified)


async def store_identities(transaction: Transaction, user_id: str, verified: VerifiedIdentity) -> None:
    """Stores the external identities of a user, except those that belong to another user."""
    for identity in verified.identities():
        if await store.add_identity(transaction, user_id, identity):
            await record_linked(transaction, user_id, "IDENTITY")


async def take_over(transaction: Transaction, user_id: str, address: Identifier) -> None:
    """Removes all access to an account that was based on a claim, because the owner of the address signed in.

    The password, the other unverified addresses and every sign-in may belong to an attacker. Call this last in
    a transaction, because it takes the lock of the account feed.
    """
    await passwords.delete_hash(transaction, user_id)
    await store.delete_other_unverified(transaction, user_id, address.canonical)
    await sign_ins.end_all(transaction, user_id)
    await _record_claim_lost(transaction, user_id, address, verified_by=user_id)


async def reset_password(transaction: Transaction, user_id: str, password_hash: str, kind: str) -> None:
    """Sets the password of a user who has verified an address of this kind, and ends every sign-in."""
    await passwords.set_hash(transaction, user_id, password_hash)
    await sign_ins.end_all(transaction, user_id)
    action = AuditAction.AUDIT_ACTION_PASSWORD_RESET
    await audit.record(transaction, action, actor_user_id=user_id, user_id=user_id, kind=kind)


async def record_linked(transaction: Transaction, user_id: str, kind: str) -> None:
    """Records in the audit log that a user can sign in with an identifier of this kind."""
    action = AuditAction.AUDIT_ACTION_CREDENTIAL_LINKED
    await audit.record(transaction, action, actor_user_id=user_id, user_id=user_id, kind=kind)


async def _record_claim_lost(
    transaction: Transaction, user_id: str, address: Identifier, verified_by: str
) -> None:
    action = AuditAction.AUDIT_ACTION_CLAIM_LOST
    await audit.record(transaction, action, actor_user_id=verified_by, user_id=user_id, kind=address.kind)
