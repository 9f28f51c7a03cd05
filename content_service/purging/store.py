"""SQL that deletes all rows of a class."""

from sqlalchemy import BindParameter, bindparam, delete

from chassis.database import Transaction, statement
from content_service.tables import (
    Attachment,
    Chunk,
    ChunkEmbedding,
    ChunkTerm,
    Content,
    Material,
    Revision,
)

_SCOPE: BindParameter[str] = bindparam("scope_id")

DELETE_EMBEDDINGS = statement(delete(ChunkEmbedding).where(ChunkEmbedding.scope_id == _SCOPE))
DELETE_TERMS = statement(delete(ChunkTerm).where(ChunkTerm.scope_id == _SCOPE))
DELETE_CHUNKS = statement(delete(Chunk).where(Chunk.scope_id == _SCOPE))
DELETE_MATERIALS = statement(delete(Material).where(Material.scope_id == _SCOPE))
DELETE_ATTACHMENTS = statement(delete(Attachment).where(Attachment.scope_id == _SCOPE))
DELETE_REVISIONS = statement(delete(Revision).where(Revision.scope_id == _SCOPE))
DELETE_CONTENTS = statement(delete(Content).where(Content.scope_id == _SCOPE))

_DELETE_CLASS = (
    DELETE_EMBEDDINGS,
    DELETE_TERMS,
    DELETE_CHUNKS,
    DELETE_MATERIALS,
    DELETE_ATTACHMENTS,
    DELETE_REVISIONS,
    DELETE_CONTENTS,
)


async def delete_class(transaction: Transaction, scope_id: str) -> None:
    """Deletes all rows of a class."""
    for query in _DELETE_CLASS:
        await transaction.run(query, scope_id=scope_id)
