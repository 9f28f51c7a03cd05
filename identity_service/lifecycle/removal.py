"""Checks that a user may be deleted or erased: an installation keeps an administrator, a class a teacher."""

from chassis.database import Transaction
from identity_service.classes.memberships import teaching
from identity_service.errors import LastAdmin
from identity_service.people.users import store
from identity_service.people.users.store import UserRow


async def check_removable(transaction: Transaction, user: UserRow) -> None:
    """Locks the administrators and the teachers until the transaction ends.

    Raises LastAdmin if the user is the only active administrator. Raises LastTeacher, with the first such
    class, if an active class would have no active teacher.
    """
    await check_not_last_admin(transaction, user)
    await teaching.check_replaceable(transaction, user.user_id)


async def check_not_last_admin(transaction: Transaction, user: UserRow) -> None:
    """Locks the administrators until the transaction ends, if the user is one.

    Raises LastAdmin if the user is the only active administrator.
    """
    if user.role != "ADMIN":
        return
    await store.lock_admins(transaction)
    if not await store.has_other_admin(transaction, user.user_id):
        raise LastAdmin(user.user_id)
