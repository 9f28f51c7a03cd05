"""Use cases of experience points (XP)."""

from chassis.database import Transaction
from identity_service.people.experience import rules, store
from identity_service.people.experience.types import Award, EntryRow, NewEntry
from identity_service.people.merge_targets import store as merge_targets


async def award_xp(transaction: Transaction, award: Award) -> EntryRow | None:
    """Adds an award to the ledger and returns its entry, or None if the user does not exist.

    A repeated award returns the existing entry. The ledger itself is the idempotency key: it is kept
    longer than a day.
    """
    # The row lock serializes awards to one user, so that each reads the XP after the previous one.
    target = await merge_targets.get_for_update(transaction, award.user_id)
    if target is None:
        return None
    if existing := await store.get_by_award(transaction, target.user_id, award.award_id):
        return existing
    amount = rules.apply_xp(target.xp, award.amount)
    entry = NewEntry(target.user_id, award.award_id, amount, award.reason, award.reference_id)
    return await store.add(transaction, entry)
