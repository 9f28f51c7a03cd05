"""What a proof changes: whose an address is, and what its claim had opened."""

from chassis import audit
from chassis.database import Transaction
from chassis.errors import ServiceUnavailable
from identity_service.people.users.store import Identifier
from identity_service.sign_in.credentials import rules, store
from identity_service.sign_in.credentials.proofs import Proof
from identity_service.sign_in.credentials.rules import Linking
from identity_service.sign_in.sign_ins import ending
from meno.access.v1.audit_service_pb2 import AuditAction


async def prove(transaction: Transaction, user_id: str, address: Identifier) -> Linking:
    """Makes an address, which is locked, that of the person who has proven it, and returns how.

    It takes the place of another that they have. Raises ServiceUnavailable where somebody claims
    it at this very moment.
    """
    holder = await store.holder(transaction, address.canonical)
    outcome = rules.on_linking(holder, user_id)
    if outcome in (Linking.KEEP, Linking.REFUSE):
        return outcome
    if outcome is Linking.PROVE:
        await store.prove(transaction, user_id, address.canonical)
    else:
        if holder is not None:
            await store.remove(transaction, holder.user_id, address.kind)
            await _lost(transaction, holder.user_id, address, to=user_id)
        await store.remove(transaction, user_id, address.kind)
        if not await store.add(transaction, user_id, address, proven=True):
            raise ServiceUnavailable()
    await linked(transaction, user_id, address.kind)
    return outcome


async def keep(transaction: Transaction, user_id: str, proof: Proof) -> None:
    """Remembers everything that was proven of a person, so that it is enough the next time.

    All of it is locked, and the identity nobody's. What is and stays somebody else's is left out.
    """
    proven = {one.kind for one in (await store.own(transaction, user_id)).values() if one.proven}
    for address in proof.addresses:
        # One that they have proven before is replaced when they ask for it, and not along the way.
        if address.kind not in proven:
            await prove(transaction, user_id, address)
    if proof.identity:
        await store.add_identity(transaction, user_id, proof.identity)
        await linked(transaction, user_id, "IDENTITY")


async def reclaim(transaction: Transaction, user_id: str, address: Identifier) -> None:
    """Shuts what the claim of an address had opened, for the account is its owner's from now on.

    The password, the other addresses that were only claimed, and every sign-in are those of
    somebody else. It comes last in a transaction, for it takes the lock of the account feed.
    """
    await store.end_password(transaction, user_id)
    await store.remove_other_claims(transaction, user_id, address.canonical)
    await ending.end_all(transaction, user_id)
    await _lost(transaction, user_id, address, to=user_id)


async def reset_password(transaction: Transaction, user_id: str, password_hash: str, kind: str) -> None:
    """Sets a password with the proof of an address of this kind, and ends every sign-in."""
    await store.set_password(transaction, user_id, password_hash)
    await ending.end_all(transaction, user_id)
    action = AuditAction.AUDIT_ACTION_PASSWORD_RESET
    await audit.record(transaction, action, actor_user_id=user_id, user_id=user_id, kind=kind)


async def linked(transaction: Transaction, user_id: str, kind: str) -> None:
    """Records that a person can sign in with something more."""
    action = AuditAction.AUDIT_ACTION_CREDENTIAL_LINKED
    await audit.record(transaction, action, actor_user_id=user_id, user_id=user_id, kind=kind)


async def _lost(transaction: Transaction, user_id: str, address: Identifier, to: str) -> None:
    action = AuditAction.AUDIT_ACTION_CLAIM_LOST
    await audit.record(transaction, action, actor_user_id=to, user_id=user_id, kind=address.kind)
