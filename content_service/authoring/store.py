"""SQL that reads contents."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, cast, func, null, select, tuple_
from sqlalchemy import literal as value
from sqlalchemy.orm import aliased

from chassis import paging
from chassis.database import Executor, statement
from content_service.authoring.rules import MATERIAL, PUBLISHED
from content_service.authoring.types import ContentRow
from content_service.authoring.visibility import (
    MAX_SORT_PATH,
    THE_CONTENT,
    is_published,
    latest_revision,
    scope,
    sort_paths,
)
from content_service.tables import Attachment, Content, Revision

ListRows: TypeAlias = Callable[[Executor, str, tuple[int, UUID], int], Awaitable[list[ContentRow]]]
"""Lists at most `limit` contents of a class after a sort path and an id."""


def _material_ids(*, published: bool) -> ColumnElement[Any]:
    """Returns an array of the materials of a revision, in the order in which they were attached."""
    material = aliased(Content)
    attached = (
        select(Attachment.material_id)
        .join(
            material,
            and_(
                material.scope_id == Attachment.scope_id,
                material.content_id == Attachment.material_id,
                material.deleted_at == null(),
            ),
        )
        .where(Attachment.scope_id == Revision.scope_id, Attachment.revision_id == Revision.revision_id)
        .order_by(Attachment.attached_at, Attachment.material_id)
        .correlate(Revision)
    )
    return func.array((attached.where(is_published(material)) if published else attached).scalar_subquery())


def _rows(*more: ColumnElement[Any], published: bool) -> Select[Any]:
    columns: list[Any] = [
        Content.scope_id,
        Content.content_id,
        Content.parent_id,
        Content.kind,
        Content.position,
        Content.version,
        Content.created_at,
        Revision.revision_id,
        Revision.number,
        Revision.state,
        Revision.title,
        Revision.body,
        Revision.updated_at,
        Revision.published_at,
        _material_ids(published=published),
        *more,
    ]
    of_content = (Revision.scope_id == Content.scope_id, Revision.content_id == Content.content_id)
    return select(*columns).join(Revision, and_(*of_content))


def _list(*, published: bool) -> Select[Any]:
    """Selects a page: the contents of the tree in their order, then the materials. Bytes limit it, too."""
    tree = sort_paths(published=published)
    conditions = [Content.scope_id == scope(), Content.kind == MATERIAL, Content.deleted_at == null()]
    materials = select(Content.content_id, value(MAX_SORT_PATH)).where(
        *conditions, *([is_published(Content)] if published else [])
    )
    listed = select(tree.c.content_id, tree.c.sort_path).union_all(materials).cte("listed")
    order = (listed.c.sort_path, Content.content_id)
    before = func.sum(func.octet_length(cast(Revision.body, Text))).over(order_by=order, rows=(None, -1))
    page = (
        _rows(listed.c.sort_path, before.label("bytes_before"), published=published)
        .join(listed, and_(Content.scope_id == scope(), Content.content_id == listed.c.content_id))
        .where(
            Revision.state == PUBLISHED if published else latest_revision(),
            tuple_(listed.c.sort_path, Content.content_id)
            > tuple_(bindparam("after"), bindparam("after_id")),
        )
        .order_by(*order)
        .limit(bindparam("limit"))
        .subquery("page")
    )
    # Includes the first row that exceeds the limit, because that row shows that there is another page.
    return (
        select(*(column for column in page.c if column.name != "bytes_before"))
        .where(func.coalesce(page.c.bytes_before, 0) <= paging.MAX_PAGE_BYTES)
        .order_by(page.c.sort_path, page.c.content_id)
    )


def _published() -> Select[Any]:
    """Selects the published revision if all ancestors of the content are visible."""
    content, parent = aliased(Content), aliased(Content)
    path = (
        select(content.parent_id, and_(content.deleted_at == null(), is_published(content)).label("visible"))
        .where(content.scope_id == scope(), content.content_id == bindparam("content_id"))
        .cte("path", recursive=True)
    )
    path = path.union_all(
        select(parent.parent_id, and_(parent.deleted_at == null(), is_published(parent))).join(
            path, and_(parent.scope_id == scope(), parent.content_id == path.c.parent_id)
        )
    )
    all_visible = select(func.bool_and(path.c.visible)).scalar_subquery()
    return _rows(published=True).where(*THE_CONTENT, Revision.state == PUBLISHED, all_visible)


GET_PUBLISHED = statement(_published(), ContentRow)
GET_LATEST = statement(_rows(published=False).where(*THE_CONTENT, latest_revision()), ContentRow)
LIST_PUBLISHED = statement(_list(published=True), ContentRow)
LIST_LATEST = statement(_list(published=False), ContentRow)
GET_KIND = statement(select(Content.kind).where(*THE_CONTENT), str)


async def get_published(executor: Executor, scope_id: str, content_id: str) -> ContentRow | None:
    """Returns a content with its published revision, or None if students cannot see it."""
    return await executor.one(GET_PUBLISHED, scope_id=scope_id, content_id=content_id)


async def get_latest(executor: Executor, scope_id: str, content_id: str) -> ContentRow | None:
    """Returns a content with its draft, or with its published revision if it has no draft; or None."""
    return await executor.one(GET_LATEST, scope_id=scope_id, content_id=content_id)


async def get_kind(executor: Executor, scope_id: str, content_id: str) -> str | None:
    """Returns the kind of a content, or None."""
    return await executor.one(GET_KIND, scope_id=scope_id, content_id=content_id)


async def list_published(
    executor: Executor, scope_id: str, after: tuple[int, UUID], limit: int
) -> list[ContentRow]:
    """Lists the contents that students see after a sort path and an id, parents before children."""
    start = {"after": after[0], "after_id": after[1]}
    return await executor.all(LIST_PUBLISHED, scope_id=scope_id, limit=limit, **start)


async def list_latest(
    executor: Executor, scope_id: str, after: tuple[int, UUID], limit: int
) -> list[ContentRow]:
    """Lists the latest revisions of all contents after a sort path and an id, parents before children."""
    start = {"after": after[0], "after_id": after[1]}
    return await executor.all(LIST_LATEST, scope_id=scope_id, limit=limit, **start)
