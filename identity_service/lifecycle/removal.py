"""Checks that a user may be deleted or erased: an installation keeps an administrator, a class a teacher."""

from chassis.database import Transaction
from identity_service.classes.memberships import commands as memberships
from identity_service.people.users import commands as users
from identity_service.people.users.types import UserRow


async def check_removable(transaction: Transaction, user: UserRow) -> None:
    """Raises LastAdmin if the user is the only active administrator.

    Raises LastTeacher, with these classes, if active classes would have no active teacher. Until the
    transaction ends, no other transaction can remove an administrator or a teacher.
    """
    await users.check_not_last_admin(transaction, user)
    await memberships.check_not_last_teacher(transaction, user.user_id)
