"""Use cases of preferences. Changes that other services need are published in the account feed."""

from collections.abc import Mapping
from typing import Any

from chassis import etags
from chassis.database import Executor, Transaction
from identity_service.account_feed import commands as account_feed
from identity_service.errors import UserNotFound
from identity_service.people.preferences import rules, store
from identity_service.people.preferences.types import Preferences, PreferencesRow


async def get_preferences(executor: Executor, user_id: str) -> PreferencesRow:
    """Returns the preferences of a user. Raises UserNotFound."""
    row = await store.get(executor, user_id)
    if row is None:
        raise UserNotFound(user_id)
    return row


async def update_preferences(
    transaction: Transaction, user_id: str, etag: str, changes: Mapping[str, Any]
) -> PreferencesRow:
    """Changes preferences and returns them. None resets a field to its default.

    Raises UserNotFound, EtagMismatch or FieldInvalid.
    """
    row = await store.get_for_update(transaction, user_id)
    if row is None:
        raise UserNotFound(user_id)
    etags.check(etag, rules.get_version(row))
    return await _replace(transaction, row, rules.apply_changes(rules.from_row(row), changes))


async def set_time_zone(transaction: Transaction, user_id: str, time_zone: str) -> None:
    """Changes the time zone of a user whose row the transaction has locked. Raises FieldInvalid."""
    rules.check_time_zone("time_zone", time_zone)
    row = await store.get(transaction, user_id)
    assert row is not None
    await _replace(transaction, row, rules.from_row(row)._replace(time_zone=time_zone))


async def _replace(transaction: Transaction, before: PreferencesRow, after: Preferences) -> PreferencesRow:
    row = await store.upsert(transaction, before.user_id, after)
    if rules.affects_other_services(rules.from_row(before), after):
        await account_feed.publish_settings_changed(
            transaction, row.user_id, after.time_zone, keep_practice_history=after.keep_practice_history
        )
    return row
