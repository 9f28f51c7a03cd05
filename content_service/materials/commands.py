"""Use cases of materials. Each runs in the transaction of its caller."""

from chassis.database import Executor, Transaction
from content_service.authoring import commands as authoring
from content_service.authoring import revision_store
from content_service.authoring.messages import body_to_json
from content_service.authoring.rules import KINDS_WITH_MATERIALS, MATERIAL
from content_service.authoring.types import ContentRow, LockedContent, NewContent
from content_service.errors import ChunkNotFound, ContentNotFound, MaterialNotFound, ProcessingNotFailed
from content_service.knowledge.types import ChunkRow
from content_service.materials import store
from content_service.materials.files import StoredFile
from content_service.materials.ingestion.queue import ProcessTask, defer_processing
from content_service.materials.rules import FAILED, notification_key
from content_service.materials.types import MaterialRow, NewFile, NewMaterial
from meno.content.v1.resources_pb2 import ContentBody


async def create_material(
    transaction: Transaction, task: ProcessTask, material: NewMaterial, file: StoredFile, max_bytes: int
) -> MaterialRow:
    """Creates a material with a first draft and defers its processing.

    Raises QuotaExceeded if the files that were uploaded to the class in a day would be larger than `max_bytes`.
    """
    body = ContentBody.MaterialFile(
        file_name=material.file_name,
        content_type=material.content_type,
        size_bytes=file.size,
        sha256=file.sha256.hex(),
    )
    content = NewContent(
        scope_id=material.scope_id,
        parent_id=None,
        kind=MATERIAL,
        title=material.title,
        body=body_to_json(ContentBody(material=body)),
        created_by_user_id=material.created_by_user_id,
    )
    material_id = await revision_store.create(transaction, content)
    ahead = await _count_ahead(transaction, content.scope_id, material.created_by_user_id)
    new_file = NewFile(file.key, material.content_type, material.charset, file.size)
    await store.insert_material(transaction, content.scope_id, material_id, new_file, max_bytes)
    await defer_processing(transaction, task, content.scope_id, material_id, ahead=ahead)
    return await get_material(transaction, content.scope_id, material_id)


async def get_material(executor: Executor, class_id: str, material_id: str) -> MaterialRow:
    """Returns a material. Raises MaterialNotFound."""
    row = await store.get(executor, class_id, material_id)
    if row is None:
        raise MaterialNotFound(material_id)
    return row


async def retry_processing(
    transaction: Transaction, task: ProcessTask, class_id: str, material_id: str, user_id: str
) -> MaterialRow:
    """Defers the processing of a material again. Raises MaterialNotFound or ProcessingNotFailed."""
    await get_material(transaction, class_id, material_id)
    status = await store.get_status_for_update(transaction, class_id, material_id)
    if status != FAILED:
        raise ProcessingNotFailed(str(status))
    ahead = await _count_ahead(transaction, class_id, user_id)
    await store.reset_processing(transaction, class_id, material_id)
    await defer_processing(transaction, task, class_id, material_id, ahead=ahead)
    transaction.notify(notification_key(material_id))
    return await get_material(transaction, class_id, material_id)


async def attach(
    transaction: Transaction, class_id: str, content_id: str, material_id: str, author_id: str
) -> ContentRow:
    """Attaches a material to the draft of a content. Raises ContentNotFound or MaterialNotFound."""
    locked = await _lock(transaction, class_id, content_id)
    await get_material(transaction, class_id, material_id)
    row = await authoring.reload(transaction, class_id, content_id)
    if material_id.lower() in row.material_ids:
        return row
    await authoring.ensure_draft(transaction, class_id, content_id, author_id, locked)
    await revision_store.attach(transaction, class_id, content_id, material_id)
    return await authoring.reload(transaction, class_id, content_id)


async def detach(
    transaction: Transaction, class_id: str, content_id: str, material_id: str, author_id: str
) -> ContentRow:
    """Detaches a material from the draft of a content. Raises ContentNotFound."""
    locked = await _lock(transaction, class_id, content_id)
    row = await authoring.reload(transaction, class_id, content_id)
    if material_id.lower() not in row.material_ids:
        return row
    await authoring.ensure_draft(transaction, class_id, content_id, author_id, locked)
    await revision_store.detach(transaction, class_id, content_id, material_id)
    return await authoring.reload(transaction, class_id, content_id)


async def get_chunk(
    executor: Executor,
    class_id: str,
    material_id: str,
    revision_id: str,
    chunk_id: str,
    *,
    include_unpublished: bool,
) -> ChunkRow:
    """Returns a chunk under a revision of its material.

    Raises ChunkNotFound if the ids do not belong together, or if the revision was never published.
    `include_unpublished` permits revisions that were never published.
    """
    row = await store.get_chunk(
        executor, class_id, material_id, revision_id, chunk_id, include_unpublished=include_unpublished
    )
    if row is None:
        raise ChunkNotFound(chunk_id)
    return row


async def _count_ahead(transaction: Transaction, class_id: str, user_id: str) -> int:
    """Returns the larger of two numbers: the unprocessed materials of a class, and those of a user."""
    by_user = await store.lock_uploader_and_count_unprocessed(transaction, user_id)
    return max(by_user, await store.count_unprocessed(transaction, class_id))


async def _lock(transaction: Transaction, class_id: str, content_id: str) -> LockedContent:
    """Locks a content that can have materials. Raises ContentNotFound."""
    locked = await authoring.lock(transaction, class_id, content_id)
    if locked.kind not in KINDS_WITH_MATERIALS:
        raise ContentNotFound(content_id)
    return locked
