"""SQL that deletes all rows of a class."""

from sqlalchemy import BindParameter, bindparam, delete

from chassis.database import Transaction, statement
from content_service.tables import (
    chunk_embeddings,
    chunk_terms,
    content_materials,
    content_revisions,
    contents,
    material_chunks,
    materials,
)

_SCOPE: BindParameter[str] = bindparam("scope_id")

DELETE_EMBEDDINGS = statement(delete(chunk_embeddings).where(chunk_embeddings.c.scope_id == _SCOPE))
DELETE_TERMS = statement(delete(chunk_terms).where(chunk_terms.c.scope_id == _SCOPE))
DELETE_CHUNKS = statement(delete(material_chunks).where(material_chunks.c.scope_id == _SCOPE))
DELETE_MATERIALS = statement(delete(materials).where(materials.c.scope_id == _SCOPE))
DELETE_ATTACHMENTS = statement(delete(content_materials).where(content_materials.c.scope_id == _SCOPE))
DELETE_REVISIONS = statement(delete(content_revisions).where(content_revisions.c.scope_id == _SCOPE))
DELETE_CONTENTS = statement(delete(contents).where(contents.c.scope_id == _SCOPE))

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
