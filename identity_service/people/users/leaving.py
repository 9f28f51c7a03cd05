"""Whether an installation and its classes can do without a person."""

from chassis.database import Transaction
from identity_service.classes.memberships import teaching
from identity_service.errors import LastAdmin
from identity_service.people.users import store
from identity_service.people.users.store import UserRow


async def check_dispensable(transaction: Transaction, user: UserRow) -> None:
    """Passes where others can take the person's place.

    Raises LastAdmin, or LastTeacher with the first class that would have no teacher left.
    """
    await check_not_last_admin(transaction, user)
    await teaching.check_replaceable(transaction, user.user_id)


async def check_not_last_admin(transaction: Transaction, user: UserRow) -> None:
    """Raises LastAdmin for the only administrator who is let in; nobody else ceases to be one meanwhile."""
    if user.role != "ADMIN":
        return
    await store.lock_admins(transaction)
    if not await store.has_other_admin(transaction, user.user_id):
        raise LastAdmin(user.user_id)
