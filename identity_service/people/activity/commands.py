"""Use cases of activity."""

from datetime import datetime

from chassis.database import Transaction
from identity_service.people.activity import rules, store
from identity_service.people.merge_targets import store as merge_targets
from identity_service.people.preferences import rules as preference_rules
from identity_service.people.preferences import store as preferences


async def record_activity(transaction: Transaction, user_id: str, moment: datetime) -> None:
    """Records that a user studied at a moment. Does nothing if the user does not exist."""
    target = await merge_targets.get_for_update(transaction, user_id)
    if target is None:
        return
    row = await preferences.get(transaction, target.user_id)
    assert row is not None
    stored = await store.list_from_day(transaction, target.user_id, (moment - rules.LOOKBACK).date())
    days = rules.record_day(stored, moment, preference_rules.from_row(row).time_zone)
    await store.upsert(transaction, target.user_id, [day for day in days if day not in {*stored}])
    await store.copy_last_active(transaction, target.user_id, days[-1])
