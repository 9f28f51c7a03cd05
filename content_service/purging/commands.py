"""A class that is gone takes everything of its own with it: rows, vectors, files."""

from sqlalchemy import BindParameter, bindparam, delete

from chassis.database import Transaction, statement
from content_service.materials.files import Files
from content_service.tables import (
    Attachment,
    Chunk,
    ChunkEmbedding,
    ChunkTerm,
    Content,
    Material,
    Revision,
)
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.account_feed_service_pb2 import AccountEvent

_SCOPE: BindParameter[str] = bindparam("scope_id")

EMBEDDINGS = statement(delete(ChunkEmbedding).where(ChunkEmbedding.scope_id == _SCOPE))
TERMS = statement(delete(ChunkTerm).where(ChunkTerm.scope_id == _SCOPE))
CHUNKS = statement(delete(Chunk).where(Chunk.scope_id == _SCOPE))
MATERIALS = statement(delete(Material).where(Material.scope_id == _SCOPE))
ATTACHMENTS = statement(delete(Attachment).where(Attachment.scope_id == _SCOPE))
REVISIONS = statement(delete(Revision).where(Revision.scope_id == _SCOPE))
CONTENTS = statement(delete(Content).where(Content.scope_id == _SCOPE))

_EVERYTHING = (EMBEDDINGS, TERMS, CHUNKS, MATERIALS, ATTACHMENTS, REVISIONS, CONTENTS)


class Purging:
    """Applies the end of a class."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def class_changed(self, transaction: Transaction, event: AccountEvent) -> None:
        """The effect of a `class_changed`: of a class that is archived or deleted, nothing is lost."""
        if event.class_changed.state != ClassState.CLASS_STATE_PURGED:
            return
        scope_id = event.class_changed.class_id
        for statement_ in _EVERYTHING:
            await transaction.run(statement_, scope_id=scope_id)
        # Last, for files do not come back when the transaction fails; a repetition finds none.
        await self._files.delete_all(scope_id)
