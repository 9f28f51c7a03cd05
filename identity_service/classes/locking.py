"""Classes whose row is locked: nobody else changes them, or who is in them, until the transaction ends."""

from chassis.database import Transaction
from identity_service.classes import store
from identity_service.classes.store import ClassRow
from identity_service.errors import ClassArchived, ClassNotFound


async def in_use(transaction: Transaction, class_id: str) -> ClassRow:
    """A class that may be changed. Raises ClassNotFound, or ClassArchived."""
    row = await present(transaction, class_id)
    if row.archived_at is not None:
        raise ClassArchived(class_id)
    return row


async def present(transaction: Transaction, class_id: str) -> ClassRow:
    """A class that is in use or archived. Raises ClassNotFound."""
    row = await present_or_deleted(transaction, class_id)
    if row.deleted_at is not None:
        raise ClassNotFound(class_id)
    return row


async def present_or_deleted(transaction: Transaction, class_id: str) -> ClassRow:
    """A class in whatever state. Raises ClassNotFound where it was purged, or never was."""
    row = await store.locked(transaction, class_id)
    if row is None:
        raise ClassNotFound(class_id)
    return row
