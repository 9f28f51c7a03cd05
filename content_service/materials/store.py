"""SQL of materials and their passages, as their readers ask for them."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, exists, func, insert, literal, null, or_, select, update

from chassis.database import Executor, Transaction, statement
from content_service.authoring.visibility import scope, seen_by_teachers
from content_service.materials.rules import FAILED, PENDING
from content_service.tables import Chunk, Content, Material, Revision


class MaterialRow(NamedTuple):
    """A material as teachers see it, and the state of its processing."""

    scope_id: str
    material_id: str
    revision_id: str
    title: str
    body: dict[str, Any]
    version: int
    status: str
    stage: str
    progress: int
    failure_reason: str | None
    failure_message: str
    chunk_count: int
    page_count: int
    created_at: datetime
    updated_at: datetime


class ChunkRow(NamedTuple):
    """A passage, under the revision by which it was asked for."""

    scope_id: str
    material_id: str
    revision_id: str
    chunk_id: str
    material_title: str
    ordinal: int
    page: int
    section: str
    char_start: int
    char_end: int
    text: str


_THE_MATERIAL = (Material.scope_id == scope(), Material.material_id == bindparam("material_id"))

CHUNK = (
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
"""The columns of a ChunkRow."""

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
    .where(*_THE_MATERIAL, Content.deleted_at == null(), seen_by_teachers()),
    MaterialRow,
)
ADD = statement(
    insert(Material).values(
        scope_id=scope(),
        material_id=bindparam("material_id"),
        storage_key=bindparam("storage_key"),
        content_type=bindparam("content_type"),
    )
)
HAS_FILE = statement(
    select(exists().where(Material.scope_id == scope(), Material.storage_key == bindparam("storage_key"))),
    bool,
)
LOCK_STATUS = statement(select(Material.status).where(*_THE_MATERIAL).with_for_update(), str)
RESTART = statement(
    update(Material)
    .where(*_THE_MATERIAL, Material.status == FAILED)
    .values(
        status=literal(PENDING),
        stage=literal("QUEUED"),
        progress=literal(0),
        fruitless=literal(0),
        failure_reason=null(),
        failure_message=literal(""),
        updated_at=func.now(),
    )
)
# A passage is of its material's file, which all revisions of the material share.
GET_CHUNK = statement(
    select(*CHUNK)
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
        or_(Revision.published_at != null(), bindparam("unpublished_too")),
        Content.deleted_at == null(),
    ),
    ChunkRow,
)


async def get(executor: Executor, scope_id: str, material_id: str) -> MaterialRow | None:
    """A material, or None."""
    return await executor.one(GET, scope_id=scope_id, material_id=material_id)


async def add(
    transaction: Transaction, scope_id: str, material_id: str, storage_key: str, content_type: str
) -> None:
    """Gives a content of kind MATERIAL its file, which waits to be processed."""
    file = {"storage_key": storage_key, "content_type": content_type}
    await transaction.run(ADD, scope_id=scope_id, material_id=material_id, **file)


async def has_file(executor: Executor, scope_id: str, storage_key: str) -> bool:
    """Whether a material has the file under this key."""
    found = await executor.one(HAS_FILE, scope_id=scope_id, storage_key=storage_key)
    return found is True


async def lock_status(transaction: Transaction, scope_id: str, material_id: str) -> str | None:
    """The status of a material, which nobody else changes until the transaction ends."""
    return await transaction.one(LOCK_STATUS, scope_id=scope_id, material_id=material_id)


async def restart(transaction: Transaction, scope_id: str, material_id: str) -> None:
    """Lets a failed material wait for a worker again."""
    await transaction.run(RESTART, scope_id=scope_id, material_id=material_id)


async def chunk(
    executor: Executor,
    scope_id: str,
    material_id: str,
    revision_id: str,
    chunk_id: str,
    *,
    unpublished_too: bool,
) -> ChunkRow | None:
    """A passage of a revision that was published once, or of any; None where there is none."""
    key = {"scope_id": scope_id, "material_id": material_id, "revision_id": revision_id}
    return await executor.one(GET_CHUNK, chunk_id=chunk_id, unpublished_too=unpublished_too, **key)
