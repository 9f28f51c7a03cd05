"""Publishes events of the account feed, in the transaction of the change.

Every service follows the feed. Its events revoke tokens, and they make the services erase or move data.
"""

from collections.abc import Collection
from datetime import timedelta

from chassis.database import Transaction
from identity_service.account_feed import store
from meno.access.v1.access_pb2 import ClassState

REPEAT_AFTER = timedelta(hours=1)
"""A call that was permitted before a service received the event can write after it. Events about all data of a user are
repeated when no such call can still run: a token is valid for 5 minutes, and an upload or an answer takes up to 10.
"""


async def revoke_tokens(transaction: Transaction, user_id: str) -> None:
    """Revokes all access tokens of a user."""
    revoked = await store.increment_rights_version(transaction, user_id)
    if revoked is not None:
        await store.append(transaction, "rights_lost", revoked._asdict())


async def revoke_tokens_of_users(transaction: Transaction, user_ids: Collection[str]) -> None:
    """Revokes all access tokens of many users with one statement."""
    if user_ids:
        await store.revoke_tokens_of_users(transaction, user_ids)


async def publish_sign_in_ended(transaction: Transaction, user_id: str, sign_in_id: str) -> None:
    """Revokes all access tokens of a sign-in."""
    await store.append(transaction, "sign_in_ended", {"user_id": user_id, "sign_in_id": sign_in_id})


async def publish_class_changed(transaction: Transaction, class_id: str, state: ClassState.ValueType) -> None:
    """Publishes the new state of a class."""
    body = {"class_id": class_id, "state": ClassState.Name(state)}
    await store.append(transaction, "class_changed", body, permanent=True)


async def publish_user_erased(transaction: Transaction, user_id: str) -> None:
    """Makes every service delete the data of a user, now and once more after REPEAT_AFTER."""
    body = {"user_id": user_id}
    await store.append(transaction, "user_erased", body, permanent=True, repeat_after=REPEAT_AFTER)
    await store.delete_superseded_settings(transaction, user_id)


async def publish_user_merged(transaction: Transaction, user_id: str, into_user_id: str) -> None:
    """Makes every service assign the data of a guest to another user, now and once more after REPEAT_AFTER."""
    body = {"user_id": user_id, "into_user_id": into_user_id}
    await store.append(transaction, "user_merged", body, permanent=True, repeat_after=REPEAT_AFTER)


async def repeat_due(transaction: Transaction) -> None:
    """Publishes the events once more whose repetition is due."""
    await store.repeat_due(transaction)


async def publish_signing_key_retired(transaction: Transaction, kid: str) -> None:
    """Revokes all access tokens that a signing key has signed.

    The event is kept, because a service may follow the feed again only after a long interruption. It could still
    have the key, with which new tokens can be forged.
    """
    await store.append(transaction, "signing_key_retired", {"kid": kid}, permanent=True)


async def publish_settings_changed(
    transaction: Transaction, user_id: str, time_zone: str, *, keep_practice_history: bool
) -> None:
    """Publishes the settings of a user that other services need."""
    body = {"user_id": user_id, "time_zone": time_zone, "keep_practice_history": keep_practice_history}
    await store.append(transaction, "settings_changed", body, permanent=True)
    await store.delete_superseded_settings(transaction, user_id)
