"""SQL of materials and their chunks."""

from sqlalchemy import (
    BigInteger,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import UUID

from chassis import quotas
from chassis.database import Executor, Transaction, statement
from content_service.authoring.visibility import latest_revision, scope
from content_service.knowledge.types import ChunkRow
from content_service.materials.rules import FAILED, MIN_COUNTED_BYTES, PENDING, PROCESSING
from content_service.materials.types import MaterialRow, NewFile
from content_service.tables import content_revisions, contents, material_chunks, materials

_THE_MATERIAL = (materials.c.scope_id == scope(), materials.c.material_id == bindparam("material_id"))

GET = statement(
    select(
        materials.c.scope_id,
        materials.c.material_id,
        content_revisions.c.revision_id,
        content_revisions.c.title,
        content_revisions.c.body,
        contents.c.version,
        materials.c.status,
        materials.c.stage,
        materials.c.progress,
        materials.c.failure_reason,
        materials.c.failure_message,
        materials.c.chunk_count,
        materials.c.page_count,
        materials.c.created_at,
        materials.c.updated_at,
    )
    .join(
        contents,
        and_(contents.c.scope_id == materials.c.scope_id, contents.c.content_id == materials.c.material_id),
    )
    .join(
        content_revisions,
        and_(
            content_revisions.c.scope_id == contents.c.scope_id,
            content_revisions.c.content_id == contents.c.content_id,
        ),
    )
    .where(*_THE_MATERIAL, contents.c.deleted_at == null(), latest_revision()),
    MaterialRow,
)
_recent_bytes = (
    select(func.coalesce(func.sum(func.greatest(materials.c.size_bytes, MIN_COUNTED_BYTES)), 0))
    .where(materials.c.scope_id == scope(), materials.c.material_id > quotas.a_day_ago())
    .scalar_subquery()
)
_size = bindparam("size_bytes", type_=BigInteger)
INSERT = statement(
    insert(materials).from_select(
        ["scope_id", "material_id", "storage_key", "content_type", "charset", "size_bytes"],
        select(
            cast(scope(), UUID),
            cast(bindparam("material_id"), UUID),
            cast(bindparam("storage_key"), Text),
            cast(bindparam("content_type"), Text),
            cast(bindparam("charset"), Text),
            _size,
        ).where(
            _recent_bytes + func.greatest(_size, MIN_COUNTED_BYTES)
            <= bindparam("max_bytes", type_=BigInteger)
        ),
    )
)
IS_FILE_REFERENCED = statement(
    select(
        exists().where(materials.c.scope_id == scope(), materials.c.storage_key == bindparam("storage_key"))
    ),
    bool,
)
_unprocessed = or_(materials.c.status == PENDING, materials.c.status == PROCESSING)
COUNT_UNPROCESSED = statement(select(func.count()).where(materials.c.scope_id == scope(), _unprocessed), int)
LOCK_UPLOADER = statement(select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("lock_key"), 0))))
COUNT_UNPROCESSED_BY_UPLOADER = statement(
    select(func.count())
    .select_from(contents)
    .join(
        materials,
        and_(materials.c.scope_id == contents.c.scope_id, materials.c.material_id == contents.c.content_id),
    )
    .where(contents.c.created_by_user_id == bindparam("user_id"), _unprocessed),
    int,
)
GET_STATUS_FOR_UPDATE = statement(select(materials.c.status).where(*_THE_MATERIAL).with_for_update(), str)
RESET_PROCESSING = statement(
    update(materials)
    .where(*_THE_MATERIAL, materials.c.status == FAILED)
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
        material_chunks.c.scope_id,
        material_chunks.c.material_id,
        content_revisions.c.revision_id,
        material_chunks.c.chunk_id,
        content_revisions.c.title,
        material_chunks.c.ordinal,
        material_chunks.c.page,
        material_chunks.c.section,
        material_chunks.c.char_start,
        material_chunks.c.char_end,
        material_chunks.c.text,
        material_chunks.c.places,
    )
    .join(
        content_revisions,
        and_(
            content_revisions.c.scope_id == material_chunks.c.scope_id,
            content_revisions.c.content_id == material_chunks.c.material_id,
        ),
    )
    .join(
        contents,
        and_(
            contents.c.scope_id == material_chunks.c.scope_id,
            contents.c.content_id == material_chunks.c.material_id,
        ),
    )
    .where(
        material_chunks.c.scope_id == scope(),
        material_chunks.c.chunk_id == bindparam("chunk_id"),
        material_chunks.c.material_id == bindparam("material_id"),
        content_revisions.c.scope_id == scope(),
        content_revisions.c.revision_id == bindparam("revision_id"),
        or_(content_revisions.c.published_at != null(), bindparam("include_unpublished")),
        contents.c.deleted_at == null(),
    ),
    ChunkRow,
)


async def get(executor: Executor, scope_id: str, material_id: str) -> MaterialRow | None:
    """Returns a material with its latest revision, or None."""
    return await executor.one(GET, scope_id=scope_id, material_id=material_id)


async def insert_material(
    transaction: Transaction, scope_id: str, material_id: str, file: NewFile, max_bytes: int
) -> None:
    """Inserts the file of a content of kind MATERIAL, in status PENDING.

    Raises QuotaExceeded if the files that were uploaded to the class in a day would be larger than `max_bytes`.
    """
    values = {"scope_id": scope_id, "material_id": material_id, "max_bytes": max_bytes, **file._asdict()}
    if not await transaction.run(INSERT, **values):
        raise quotas.exceeded("MiB of files in a class", max_bytes >> 20)


async def is_file_referenced(executor: Executor, scope_id: str, storage_key: str) -> bool:
    """Returns whether a material references the file with this key."""
    found = await executor.one(IS_FILE_REFERENCED, scope_id=scope_id, storage_key=storage_key)
    return found is True


async def count_unprocessed(executor: Executor, scope_id: str) -> int:
    """Returns the number of materials of a class that are PENDING or PROCESSING."""
    return await executor.one(COUNT_UNPROCESSED, scope_id=scope_id) or 0


async def lock_uploader_and_count_unprocessed(transaction: Transaction, user_id: str) -> int:
    """Returns the number of materials of a user, in all classes, that are PENDING or PROCESSING.

    Until the transaction ends, no other transaction gets this number: concurrent uploads are counted one by one.
    """
    await transaction.run(LOCK_UPLOADER, lock_key=f"uploads of {user_id}")
    return await transaction.one(COUNT_UNPROCESSED_BY_UPLOADER, user_id=user_id) or 0


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
