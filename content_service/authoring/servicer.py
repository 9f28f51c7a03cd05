"""ContentService."""

from google.protobuf.json_format import MessageToDict, ParseDict

from chassis import audit, etags, paging
from chassis.calls import Context, caller
from chassis.database import Database, Transaction
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from content_service.authoring import revision_store as revisions
from content_service.authoring import rules, store
from content_service.authoring.revision_store import LockedRow, NewContent
from content_service.authoring.rules import DRAFT, PUBLISHED
from content_service.authoring.store import ContentRow
from content_service.errors import BodyKindMismatch, ContentNotFound, NoDraft, NotPublished, ParentInvalid
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.content.v1.content_service_pb2 import (
    Body,
    Content,
    ContentKind,
    CreateContentRequest,
    GetContentRequest,
    GetDraftRequest,
    ListContentsRequest,
    ListContentsResponse,
    ListDraftsRequest,
    ListDraftsResponse,
    PublishContentRequest,
    UnpublishContentRequest,
    UpdateDraftRequest,
    Visibility,
)
from meno.content.v1.content_service_pb2_grpc import ContentServiceServicer

KINDS = Spelling(ContentKind)
VISIBILITIES = Spelling(Visibility)


class ContentServicer(ContentServiceServicer):
    """Contents and their revisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateContent(self, request: CreateContentRequest, context: Context) -> Content:
        kind = rules.kind_of(request.body)
        async with write(self._database) as transaction:
            await _check_parent(transaction, request.class_id, request.parent_id, kind)
            new = NewContent(
                scope_id=request.class_id,
                parent_id=request.parent_id or None,
                kind=kind,
                title=request.title,
                body=body_row(request.body),
                created_by_user_id=caller().user_id,
            )
            content_id = await revisions.create(transaction, new)
            return transaction.answer(await changed(transaction, request.class_id, content_id))

    async def GetContent(self, request: GetContentRequest, context: Context) -> Content:
        row = await store.published(self._database, request.class_id, request.content_id)
        if row is None:
            raise ContentNotFound(request.content_id)
        return message(row)

    async def ListContents(self, request: ListContentsRequest, context: Context) -> ListContentsResponse:
        contents, following = await self._page(request, store.list_published)
        return ListContentsResponse(contents=contents, next_page_token=following)

    async def GetDraft(self, request: GetDraftRequest, context: Context) -> Content:
        row = await store.as_teacher(self._database, request.class_id, request.content_id)
        if row is None:
            raise ContentNotFound(request.content_id)
        if row.state != DRAFT:
            raise NoDraft(request.content_id)
        return message(row)

    async def ListDrafts(self, request: ListDraftsRequest, context: Context) -> ListDraftsResponse:
        contents, following = await self._page(request, store.list_as_teacher)
        return ListDraftsResponse(contents=contents, next_page_token=following)

    async def UpdateDraft(self, request: UpdateDraftRequest, context: Context) -> Content:
        class_id, content_id = request.class_id, request.content_id
        async with write(self._database) as transaction:
            locked = await lock(transaction, class_id, content_id, request.etag)
            body = body_row(request.body) if request.HasField("body") else None
            if body is not None and rules.kind_of(request.body) != locked.kind:
                raise BodyKindMismatch(locked.kind)
            await need_draft(transaction, class_id, content_id, locked)
            await revisions.change_draft(transaction, class_id, content_id, request.title or None, body)
            return transaction.answer(await changed(transaction, class_id, content_id))

    async def PublishContent(self, request: PublishContentRequest, context: Context) -> Content:
        class_id, content_id = request.class_id, request.content_id
        async with write(self._database) as transaction:
            locked = await lock(transaction, class_id, content_id, request.etag)
            if not locked.has_draft:
                raise NoDraft(content_id)
            await revisions.publish(transaction, class_id, content_id)
            await audit.record(
                transaction,
                AuditAction.AUDIT_ACTION_CONTENT_PUBLISHED,
                class_id=class_id,
                resource_id=content_id,
            )
            return transaction.answer(await changed(transaction, class_id, content_id))

    async def UnpublishContent(self, request: UnpublishContentRequest, context: Context) -> Content:
        class_id, content_id = request.class_id, request.content_id
        async with write(self._database) as transaction:
            locked = await lock(transaction, class_id, content_id, request.etag)
            if not locked.has_published:
                raise NotPublished(content_id)
            await need_draft(transaction, class_id, content_id, locked)
            await revisions.hide(transaction, class_id, content_id)
            await audit.record(
                transaction,
                AuditAction.AUDIT_ACTION_CONTENT_UNPUBLISHED,
                class_id=class_id,
                resource_id=content_id,
            )
            return transaction.answer(await changed(transaction, class_id, content_id))

    async def _page(
        self, request: ListContentsRequest | ListDraftsRequest, listed: store.Listed
    ) -> tuple[list[Content], str]:
        """A page of contents and the token of the next; it ends early where they are large."""
        after = paging.position(request, (0, paging.BEFORE_ALL_IDS))
        rows = await listed(self._database, request.class_id, after, paging.size(request) + 1)
        contents = [message(row) for row in rows]
        fits = paging.fitting(content.ByteSize() for content in contents)
        kept, following = paging.page(request, rows, lambda row: (row.place, row.content_id), fits)
        return contents[: len(kept)], following


async def lock(transaction: Transaction, class_id: str, content_id: str, etag: str = "") -> LockedRow:
    """Keeps others off a content. Raises ContentNotFound or EtagMismatch."""
    locked = await revisions.lock(transaction, class_id, content_id)
    if locked is None:
        raise ContentNotFound(content_id)
    etags.check(etag, locked.version)
    return locked


async def need_draft(transaction: Transaction, class_id: str, content_id: str, locked: LockedRow) -> None:
    """Begins a draft where there is none."""
    if not locked.has_draft:
        await revisions.begin_draft(transaction, class_id, content_id, caller().user_id)


async def changed(transaction: Transaction, class_id: str, content_id: str) -> Content:
    """A content after a change, as its teachers see it."""
    row = await store.as_teacher(transaction, class_id, content_id)
    assert row is not None
    return message(row)


def message(row: ContentRow) -> Content:
    """A content as it travels."""
    return Content(
        class_id=row.scope_id,
        content_id=row.content_id,
        parent_id=row.parent_id or "",
        kind=KINDS.number(row.kind),
        position=row.position,
        revision_id=row.revision_id,
        revision_number=row.number,
        visibility=VISIBILITIES.number(row.state),
        title=row.title,
        body=ParseDict(row.body, Body()),
        material_ids=row.material_ids,
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
        publish_time=timestamp(row.published_at) if row.state == PUBLISHED else None,
        etag=etags.etag(row.version),
    )


def body_row(body: Body) -> dict[str, object]:
    """A body as it is stored."""
    return MessageToDict(body, preserving_proto_field_name=True)


async def _check_parent(transaction: Transaction, class_id: str, parent_id: str, kind: str) -> None:
    parent_kind = await store.kind(transaction, class_id, parent_id) if parent_id else None
    if (parent_id and parent_kind is None) or not rules.may_stand(kind, parent_kind):
        raise ParentInvalid(parent_id, kind)
