"""Deletes the rows, vectors and files of purged classes."""

from chassis.database import Transaction
from content_service.materials.files import FileStore
from content_service.purging import store
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.resources_pb2 import AccountEvent


class ClassPurger:
    """Handles the account events of classes."""

    def __init__(self, files: FileStore) -> None:
        self._files = files

    async def on_class_changed(self, transaction: Transaction, event: AccountEvent) -> None:
        """Deletes the data of a purged class. Archived and deleted classes keep their data."""
        if event.class_changed.state != ClassState.CLASS_STATE_PURGED:
            return
        scope_id = event.class_changed.class_id
        await store.delete_class(transaction, scope_id)
        # Last, because a rollback does not restore files. A repetition finds no files.
        await self._files.delete_all(scope_id)
