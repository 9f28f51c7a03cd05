"""SQL that reads contents."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, cast, func, null, select, tuple_
from sqlalchemy import literal as value

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
from content_service.tables import content_materials, content_revisions, contents

ListRows: TypeAlias = Callable[[Executor, str, tuple[int, UUID], int], Awaitable[list[ContentRow]]]
"""Lists at most `limit` contents of a class after a sort path and an id."""


def _material_ids(*, published: bool) -> ColumnElement[Any]:
    """Returns an array of the materials of a revision, in the order in which they were attached."""
    material = contents.alias()
    attached = (
        select(content_materials.c.material_id)
        .join(
            material,
            and_(
                material.c.scope_id == content_materials.c.scope_id,
                material.c.content_id == content_materials.c.material_id,
                material.c.deleted_at == null(),
            ),
        )
        .where(
            content_materials.c.scope_id == content_revisions.c.scope_id,
            content_materials.c.revision_id == content_revisions.c.revision_id,
        )
        .order_by(content_materials.c.attached_at, content_materials.c.material_id)
        .correlate(content_revisions)
    )
    return func.array((attached.where(is_published(material)) if published else attached).scalar_subquery())


def _rows(*more: ColumnElement[Any], published: bool) -> Select[Any]:
    columns: list[Any] = [
        contents.c.scope_id,
        contents.c.content_id,
        contents.c.parent_id,
        contents.c.kind,
        contents.c.position,
        contents.c.version,
        contents.c.created_at,
        content_revisions.c.revision_id,
        content_revisions.c.number,
        content_revisions.c.state,
        content_revisions.c.title,
        content_revisions.c.body,
        content_revisions.c.updated_at,
        content_revisions.c.published_at,
        _material_ids(published=published),
        *more,
    ]
    of_content = (
        content_revisions.c.scope_id == contents.c.scope_id,
        content_revisions.c.content_id == contents.c.content_id,
    )
    return select(*columns).join(content_revisions, and_(*of_content))


def _list(*, published: bool) -> Select[Any]:
    """Selects a page: the contents of the tree in their order, then the materials. Bytes limit it, too."""
    tree = sort_paths(published=published)
    conditions = [
        contents.c.scope_id == scope(),
        contents.c.kind == MATERIAL,
        contents.c.deleted_at == null(),
    ]
    materials = select(contents.c.content_id, value(MAX_SORT_PATH)).where(
        *conditions, *([is_published(contents)] if published else [])
    )
    listed = select(tree.c.content_id, tree.c.sort_path).union_all(materials).cte("listed")
    order = (listed.c.sort_path, contents.c.content_id)
    before = func.sum(func.octet_length(cast(content_revisions.c.body, Text))).over(
        order_by=order, rows=(None, -1)
    )
    page = (
        _rows(listed.c.sort_path, before.label("bytes_before"), published=published)
        .join(listed, and_(contents.c.scope_id == scope(), contents.c.content_id == listed.c.content_id))
        .where(
            content_revisions.c.state == PUBLISHED if published else latest_revision(),
            tuple_(listed.c.sort_path, contents.c.content_id)
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
    content, parent = contents.alias(), contents.alias()
    path = (
        select(
            content.c.parent_id, and_(content.c.deleted_at == null(), is_published(content)).label("visible")
        )
        .where(content.c.scope_id == scope(), content.c.content_id == bindparam("content_id"))
        .cte("path", recursive=True)
    )
    path = path.union_all(
        select(parent.c.parent_id, and_(parent.c.deleted_at == null(), is_published(parent))).join(
            path, and_(parent.c.scope_id == scope(), parent.c.content_id == path.c.parent_id)
        )
    )
    all_visible = select(func.bool_and(path.c.visible)).scalar_subquery()
    return _rows(published=True).where(*THE_CONTENT, content_revisions.c.state == PUBLISHED, all_visible)


GET_PUBLISHED = statement(_published(), ContentRow)
GET_LATEST = statement(_rows(published=False).where(*THE_CONTENT, latest_revision()), ContentRow)
LIST_PUBLISHED = statement(_list(published=True), ContentRow)
LIST_LATEST = statement(_list(published=False), ContentRow)
GET_KIND = statement(select(contents.c.kind).where(*THE_CONTENT), str)


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
