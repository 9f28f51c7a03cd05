"""SQL that reads contents."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, cast, func, null, select, tuple_
from sqlalchemy import literal as value
from sqlalchemy.orm import aliased

from chassis import paging
from chassis.database import Executor, statement
from content_service.authoring.rules import MATERIAL, PUBLISHED
from content_service.authoring.visibility import AFTER_THE_TREE, is_published, scope, seen_by_teachers, tree
from content_service.tables import Attachment, Content, Revision


class ContentRow(NamedTuple):
    """A content, as one of its revisions."""

    scope_id: str
    content_id: str
    parent_id: str | None
    kind: str
    position: int
    version: int
    created_at: datetime
    revision_id: str
    number: int
    state: str
    title: str
    body: dict[str, Any]
    updated_at: datetime
    published_at: datetime | None
    material_ids: list[str]
    place: int = 0
    """In a list: what its order goes by."""


Listed: TypeAlias = Callable[[Executor, str, tuple[int, UUID], int], Awaitable[list[ContentRow]]]
"""Lists a class's contents after a place and an id, at most so many."""


def _material_ids(*, published: bool) -> ColumnElement[Any]:
    """The materials of a revision, in the order in which they were attached."""
    material = aliased(Content)
    found = (
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
    return func.array((found.where(is_published(material)) if published else found).scalar_subquery())


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


def _listed(*, published: bool) -> Select[Any]:
    """The contents of the tree in their order, and after them the materials; no more than a page holds."""
    walked = tree(published=published)
    kept = [Content.scope_id == scope(), Content.kind == MATERIAL, Content.deleted_at == null()]
    materials = select(Content.content_id, value(AFTER_THE_TREE)).where(
        *kept, *([is_published(Content)] if published else [])
    )
    listed = select(walked.c.content_id, walked.c.place).union_all(materials).cte("listed")
    order = (listed.c.place, Content.content_id)
    before = func.sum(func.octet_length(cast(Revision.body, Text))).over(order_by=order, rows=(None, -1))
    following = (
        _rows(listed.c.place, before.label("bytes_before"), published=published)
        .join(listed, and_(Content.scope_id == scope(), Content.content_id == listed.c.content_id))
        .where(
            Revision.state == PUBLISHED if published else seen_by_teachers(),
            tuple_(listed.c.place, Content.content_id) > tuple_(bindparam("after"), bindparam("after_id")),
        )
        .order_by(*order)
        .limit(bindparam("limit"))
        .subquery("following")
    )
    # The first that does not fit as well, for it tells that there is another page.
    return (
        select(*(column for column in following.c if column.name != "bytes_before"))
        .where(func.coalesce(following.c.bytes_before, 0) <= paging.LARGEST_PAGE)
        .order_by(following.c.place, following.c.content_id)
    )


_THE_CONTENT = (
    Content.scope_id == scope(),
    Content.content_id == bindparam("content_id"),
    Content.deleted_at == null(),
)


def _published() -> Select[Any]:
    """The published revision, if the whole path up to the top is visible."""
    step, parent = aliased(Content), aliased(Content)
    path = (
        select(step.parent_id, and_(step.deleted_at == null(), is_published(step)).label("visible"))
        .where(step.scope_id == scope(), step.content_id == bindparam("content_id"))
        .cte("path", recursive=True)
    )
    path = path.union_all(
        select(parent.parent_id, and_(parent.deleted_at == null(), is_published(parent))).join(
            path, and_(parent.scope_id == scope(), parent.content_id == path.c.parent_id)
        )
    )
    whole = select(func.bool_and(path.c.visible)).scalar_subquery()
    return _rows(published=True).where(*_THE_CONTENT, Revision.state == PUBLISHED, whole)


GET_PUBLISHED = statement(_published(), ContentRow)
GET_AS_TEACHER = statement(_rows(published=False).where(*_THE_CONTENT, seen_by_teachers()), ContentRow)
LIST_PUBLISHED = statement(_listed(published=True), ContentRow)
LIST_AS_TEACHER = statement(_listed(published=False), ContentRow)
KIND = statement(select(Content.kind).where(*_THE_CONTENT), str)


async def published(executor: Executor, scope_id: str, content_id: str) -> ContentRow | None:
    """A content as its readers see it, or None."""
    return await executor.one(GET_PUBLISHED, scope_id=scope_id, content_id=content_id)


async def as_teacher(executor: Executor, scope_id: str, content_id: str) -> ContentRow | None:
    """A content as its draft where there is one, else as published; or None."""
    return await executor.one(GET_AS_TEACHER, scope_id=scope_id, content_id=content_id)


async def kind(executor: Executor, scope_id: str, content_id: str) -> str | None:
    """What a content is, or None."""
    return await executor.one(KIND, scope_id=scope_id, content_id=content_id)


async def list_published(
    executor: Executor, scope_id: str, after: tuple[int, UUID], limit: int
) -> list[ContentRow]:
    """What readers see, each before what stands under it; `after` is a place and an id."""
    position = {"after": after[0], "after_id": after[1]}
    return await executor.all(LIST_PUBLISHED, scope_id=scope_id, limit=limit, **position)


async def list_as_teacher(
    executor: Executor, scope_id: str, after: tuple[int, UUID], limit: int
) -> list[ContentRow]:
    """Everything in the class, in the same order."""
    position = {"after": after[0], "after_id": after[1]}
    return await executor.all(LIST_AS_TEACHER, scope_id=scope_id, limit=limit, **position)
