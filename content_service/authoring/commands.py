"""Use cases of contents. Each runs in the transaction of its caller."""

from chassis import audit, etags
from chassis.database import Executor, Transaction
from content_service.authoring import revision_store, rules, store
from content_service.authoring.rules import DRAFT
from content_service.authoring.types import ContentRow, DraftChanges, LockedContent, NewContent
from content_service.errors import (
    BodyKindMismatch,
    ContentNotFound,
    DraftNotFound,
    NotPublished,
    ParentInvalid,
)
from meno.access.v1.resources_pb2 import AuditAction


async def get_content(executor: Executor, class_id: str, content_id: str) -> ContentRow:
    """Returns a content with its published revision. Raises ContentNotFound if students cannot see it."""
    row = await store.get_published(executor, class_id, content_id)
    if row is None:
        raise ContentNotFound(content_id)
    return row


async def get_draft(executor: Executor, class_id: str, content_id: str) -> ContentRow:
    """Returns a content with its draft. Raises ContentNotFound or DraftNotFound."""
    row = await store.get_latest(executor, class_id, content_id)
    if row is None:
        raise ContentNotFound(content_id)
    if row.state != DRAFT:
        raise DraftNotFound(content_id)
    return row


async def create_content(transaction: Transaction, content: NewContent) -> ContentRow:
    """Creates a content with a first draft, after its siblings. Raises ParentInvalid."""
    class_id, parent_id = content.scope_id, content.parent_id
    parent_kind = await store.get_kind(transaction, class_id, parent_id) if parent_id else None
    is_missing = parent_id is not None and parent_kind is None
    if is_missing or not rules.can_be_child_of(content.kind, parent_kind):
        raise ParentInvalid(parent_id or "", content.kind)
    return await reload(transaction, class_id, await revision_store.create(transaction, content))


async def update_draft(
    transaction: Transaction,
    class_id: str,
    content_id: str,
    changes: DraftChanges,
    *,
    etag: str,
    author_id: str,
) -> ContentRow:
    """Changes the draft; creates it from the published revision if there is none.

    Raises ContentNotFound, EtagMismatch or BodyKindMismatch.
    """
    locked = await lock(transaction, class_id, content_id, etag)
    if changes.kind not in (None, locked.kind):
        raise BodyKindMismatch(locked.kind)
    await ensure_draft(transaction, class_id, content_id, author_id, locked)
    await revision_store.update_draft(transaction, class_id, content_id, changes)
    return await reload(transaction, class_id, content_id)


async def publish(transaction: Transaction, class_id: str, content_id: str, etag: str) -> ContentRow:
    """Replaces the published revision by the draft. Raises ContentNotFound, EtagMismatch or DraftNotFound."""
    locked = await lock(transaction, class_id, content_id, etag)
    if not locked.has_draft:
        raise DraftNotFound(content_id)
    await revision_store.publish(transaction, class_id, content_id)
    published = AuditAction.AUDIT_ACTION_CONTENT_PUBLISHED
    await audit.record(transaction, published, class_id=class_id, resource_id=content_id)
    return await reload(transaction, class_id, content_id)


async def unpublish(
    transaction: Transaction, class_id: str, content_id: str, *, etag: str, author_id: str
) -> ContentRow:
    """Archives the published revision; creates a draft from it if there is none.

    Raises ContentNotFound, EtagMismatch or NotPublished.
    """
    locked = await lock(transaction, class_id, content_id, etag)
    if not locked.has_published:
        raise NotPublished(content_id)
    await ensure_draft(transaction, class_id, content_id, author_id, locked)
    await revision_store.unpublish(transaction, class_id, content_id)
    unpublished = AuditAction.AUDIT_ACTION_CONTENT_UNPUBLISHED
    await audit.record(transaction, unpublished, class_id=class_id, resource_id=content_id)
    return await reload(transaction, class_id, content_id)


async def lock(transaction: Transaction, class_id: str, content_id: str, etag: str = "") -> LockedContent:
    """Locks a content until the transaction ends. Raises ContentNotFound or EtagMismatch."""
    locked = await revision_store.get_for_update(transaction, class_id, content_id)
    if locked is None:
        raise ContentNotFound(content_id)
    etags.check(etag, locked.version)
    return locked


async def ensure_draft(
    transaction: Transaction, class_id: str, content_id: str, author_id: str, locked: LockedContent
) -> None:
    """Creates a draft from the published revision if the content has no draft."""
    if not locked.has_draft:
        await revision_store.create_draft(transaction, class_id, content_id, author_id)


async def reload(transaction: Transaction, class_id: str, content_id: str) -> ContentRow:
    """Returns a content with its latest revision, after a change in the same transaction."""
    row = await store.get_latest(transaction, class_id, content_id)
    assert row is not None
    return row
