"""SQL of materials and their chunks."""

from sqlalchemy import and_, bindparam, exists, func, insert, literal, null, or_, select, update

from chassis.database import Executor, Transaction, statement
from content_service.authoring.visibility import latest_revision, scope
from content_service.knowledge.types import ChunkRow
from content_service.materials.rules import FAILED, PENDING
from content_service.materials.types import MaterialRow
from content_service.tables import Chunk, Content, Material, Revision

_THE_MATERIAL = (Material.scope_id == scope(), Material.material_id == bindparam("material_id"))

GET = statement(
    select(
        Material.scope_id,
        Material.material_id,
        Revision.revision_id,
        Revision.title,
        Revision.body,
        Content.version,
        Material.status,
        Material.stage,
        Material.progress,
        Material.failure_reason,
        Material.failure_message,
        Material.chunk_count,
        Material.page_count,
        Material.created_at,
        Material.updated_at,
    )
    .join(
        Content,
        and_(Content.scope_id == Material.scope_id, Content.content_id == Material.material_id),
    )
    .join(Revision, and_(Revision.scope_id == Content.scope_id, Revision.content_id == Content.content_id))
    .where(*_THE_MATERIAL, Content.deleted_at == null(), latest_revision()),
    MaterialRow,
)
INSERT = statement(
    insert(Material).values(
        scope_id=scope(),
        material_id=bindparam("material_id"),
        storage_key=bindparam("storage_key"),
        content_type=bindparam("content_type"),
    )
)
IS_FILE_REFERENCED = statement(
    select(exists().where(Material.scope_id == scope(), Material.storage_key == bindparam("storage_key"))),
    bool,
)
GET_STATUS_FOR_UPDATE = statement(select(Material.status).where(*_THE_MATERIAL).with_for_update(), str)
RESET_PROCESSING = statement(
    update(Material)
    .where(*_THE_MATERIAL, Material.status == FAILED)
    .values(
        status=literal(PENDING),
        stage=literal("QUEUED"),
        progress=literal(0),
        failed_attempts=literal(0),
        failure_reason=null(),
        failure_message=literal(""),
        updated_at=func.now(),
    )
)
# All revisions of a material share one file, and so its chunks.
GET_CHUNK = statement(
    select(
        Chunk.scope_id,
        Chunk.material_id,
        Revision.revision_id,
        Chunk.chunk_id,
        Revision.title,
        Chunk.ordinal,
        Chunk.page,
        Chunk.section,
        Chunk.char_start,
        Chunk.char_end,
        Chunk.text,
    )
    .join(
        Revision,
        and_(Revision.scope_id == Chunk.scope_id, Revision.content_id == Chunk.material_id),
    )
    .join(Content, and_(Content.scope_id == Chunk.scope_id, Content.content_id == Chunk.material_id))
    .where(
        Chunk.scope_id == scope(),
        Chunk.chunk_id == bindparam("chunk_id"),
        Chunk.material_id == bindparam("material_id"),
        Revision.scope_id == scope(),
        Revision.revision_id == bindparam("revision_id"),
        or_(Revision.published_at != null(), bindparam("include_unpublished")),
        Content.deleted_at == null(),
    ),
    ChunkRow,
)


async def get(executor: Executor, scope_id: str, material_id: str) -> MaterialRow | None:
    """Returns a material with its latest revision, or None."""
    return await executor.one(GET, scope_id=scope_id, material_id=material_id)


async def insert_material(
    transaction: Transaction, scope_id: str, material_id: str, storage_key: str, content_type: str
) -> None:
    """Inserts the file of a content of kind MATERIAL, in status PENDING."""
    file = {"storage_key": storage_key, "content_type": content_type}
    await transaction.run(INSERT, scope_id=scope_id, material_id=material_id, **file)


async def is_file_referenced(executor: Executor, scope_id: str, storage_key: str) -> bool:
    """Returns whether a material references the file with this key."""
    found = await executor.one(IS_FILE_REFERENCED, scope_id=scope_id, storage_key=storage_key)
    return found is True


async def get_status_for_update(transaction: Transaction, scope_id: str, material_id: str) -> str | None:
    """Locks a material until the transaction ends; returns its status, or None."""
    return await transaction.one(GET_STATUS_FOR_UPDATE, scope_id=scope_id, material_id=material_id)


async def reset_processing(transaction: Transaction, scope_id: str, material_id: str) -> None:
    """Sets a failed material to PENDING."""
    await transaction.run(RESET_PROCESSING, scope_id=scope_id, material_id=material_id)


async def get_chunk(
    executor: Executor,
    scope_id: str,
    material_id: str,
    revision_id: str,
    chunk_id: str,
    *,
    include_unpublished: bool,
) -> ChunkRow | None:
    """Returns a chunk under a revision of its material, or None.

    The revision must have been published at some time, unless `include_unpublished` is set.
    """
    key = {"scope_id": scope_id, "material_id": material_id, "revision_id": revision_id}
    return await executor.one(GET_CHUNK, chunk_id=chunk_id, include_unpublished=include_unpublished, **key)
