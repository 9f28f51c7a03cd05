"""ContentService."""

from chassis import paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from content_service.authoring import commands, store
from content_service.authoring.messages import body_to_json, draft_changes, kind_of, to_message
from content_service.authoring.types import NewContent
from meno.content.v1.content_service_pb2 import (
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
)
from meno.content.v1.content_service_pb2_grpc import ContentServiceServicer
from meno.content.v1.resources_pb2 import Content


class ContentServicer(ContentServiceServicer):
    """Serves contents and their revisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateContent(self, request: CreateContentRequest, context: Context) -> Content:
        content = NewContent(
            scope_id=request.class_id,
            parent_id=request.parent_id or None,
            kind=kind_of(request.body),
            title=request.title,
            body=body_to_json(request.body),
            created_by_user_id=caller().user_id,
        )
        async with write(self._database) as transaction:
            return transaction.respond(to_message(await commands.create_content(transaction, content)))

    async def GetContent(self, request: GetContentRequest, context: Context) -> Content:
        return to_message(await commands.get_content(self._database, request.class_id, request.content_id))

    async def ListContents(self, request: ListContentsRequest, context: Context) -> ListContentsResponse:
        contents, next_page_token = await self._page(request, store.list_published)
        return ListContentsResponse(contents=contents, next_page_token=next_page_token)

    async def GetDraft(self, request: GetDraftRequest, context: Context) -> Content:
        return to_message(await commands.get_draft(self._database, request.class_id, request.content_id))

    async def ListDrafts(self, request: ListDraftsRequest, context: Context) -> ListDraftsResponse:
        contents, next_page_token = await self._page(request, store.list_latest)
        return ListDraftsResponse(contents=contents, next_page_token=next_page_token)

    async def UpdateDraft(self, request: UpdateDraftRequest, context: Context) -> Content:
        class_id, content_id, changes = request.class_id, request.content_id, draft_changes(request)
        async with write(self._database) as transaction:
            row = await commands.update_draft(
                transaction, class_id, content_id, changes, etag=request.etag, author_id=caller().user_id
            )
            return transaction.respond(to_message(row))

    async def PublishContent(self, request: PublishContentRequest, context: Context) -> Content:
        async with write(self._database) as transaction:
            row = await commands.publish(transaction, request.class_id, request.content_id, request.etag)
            return transaction.respond(to_message(row))

    async def UnpublishContent(self, request: UnpublishContentRequest, context: Context) -> Content:
        class_id, content_id = request.class_id, request.content_id
        async with write(self._database) as transaction:
            row = await commands.unpublish(
                transaction, class_id, content_id, etag=request.etag, author_id=caller().user_id
            )
            return transaction.respond(to_message(row))

    async def _page(
        self, request: ListContentsRequest | ListDraftsRequest, list_rows: store.ListRows
    ) -> tuple[list[Content], str]:
        """Returns a page of contents and the next page token. Large contents make a page shorter."""
        after = paging.decode_page_token(request, (0, paging.MIN_UUID))
        rows = await list_rows(self._database, request.class_id, after, paging.size(request) + 1)
        contents = [to_message(row) for row in rows]
        fits = paging.count_within_bytes(content.ByteSize() for content in contents)
        kept, next_page_token = paging.page(request, rows, lambda row: (row.sort_path, row.content_id), fits)
        return contents[: len(kept)], next_page_token
