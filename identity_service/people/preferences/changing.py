"""Changes settings, and tells the other services those that they need."""

from chassis.database import Transaction
from identity_service.account_feed import store as accounts
from identity_service.people.preferences import rules, store
from identity_service.people.preferences.store import Settings, SettingsRow


def chosen(row: SettingsRow) -> Settings:
    """What holds for a person: what they chose, or the defaults."""
    if row.version is None:
        return rules.DEFAULTS
    return Settings(*(getattr(row, name) for name in Settings._fields))


async def change(transaction: Transaction, before: SettingsRow, after: Settings) -> SettingsRow:
    """Replaces settings, which the transaction has locked."""
    row = await store.put(transaction, before.user_id, after)
    if rules.concern_others(chosen(before), after):
        await accounts.change_settings(
            transaction, row.user_id, after.time_zone, keep_practice_history=after.keep_practice_history
        )
    return row


async def move(transaction: Transaction, user_id: str, time_zone: str) -> None:
    """Takes a person, whom the transaction has locked, to another time zone. Raises FieldInvalid."""
    rules.check_zone("time_zone", time_zone)
    row = await store.get(transaction, user_id)
    assert row is not None
    await change(transaction, row, chosen(row)._replace(time_zone=time_zone))
