"""Ends sign-ins: their refresh tokens serve no more, and every process learns it by the account feed.

Whoever changes a person and their sign-ins takes the person's row first, then the sign-ins', then the
feed's lock, so that nobody waits for each other in a circle.
"""

from chassis.database import Transaction
from identity_service.account_feed import store as accounts
from identity_service.people.users import store as users
from identity_service.sign_in.sign_ins import store


async def end(transaction: Transaction, user_id: str, sign_in_id: str) -> None:
    """Ends one sign-in of a person; one that has ended stays as it is."""
    ended = await store.end(transaction, user_id, sign_in_id)
    if ended is not None:
        await accounts.end_sign_in(transaction, user_id, ended)


async def end_all(transaction: Transaction, user_id: str, *, but: str | None = None) -> bool:
    """Ends a person's sign-ins and makes all their access tokens worthless; False where there were none.

    `but` is a sign-in that lives on: its refresh token serves, its access tokens do not.
    """
    await users.locked(transaction, user_id)
    ended = await store.end_all(transaction, user_id, but)
    if not ended and but is None:
        return False
    await accounts.lose_rights(transaction, user_id)
    return True
