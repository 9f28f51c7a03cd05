"""How people come into a class."""

from chassis import audit
from chassis.database import Transaction
from identity_service.classes import rules as classes
from identity_service.classes.memberships import store
from identity_service.classes.memberships.rules import MEMBER
from identity_service.errors import TooManyClasses, UserNotFound
from identity_service.people.users import store as users
from meno.access.v1.audit_service_pb2 import AuditAction


async def make_room(transaction: Transaction, user_id: str) -> None:
    """Passes where the person may enter one more class; no other call lets them in meanwhile.

    The class is locked before the person. Raises TooManyClasses, or UserNotFound.
    """
    if await users.locked(transaction, user_id) is None:
        raise UserNotFound(user_id)
    if await store.in_use_count(transaction, user_id) >= classes.MAX_CLASSES:
        raise TooManyClasses(classes.MAX_CLASSES)


async def enter(transaction: Transaction, class_id: str, user_id: str, role: str, how: str) -> None:
    """Makes somebody a member who has room: `how` is what the audit tells of it."""
    await store.put(transaction, class_id, user_id, role, MEMBER)
    await audit.record(
        transaction,
        AuditAction.AUDIT_ACTION_MEMBERSHIP_ADDED,
        user_id=user_id,
        class_id=class_id,
        role=role,
        how=how,
    )
