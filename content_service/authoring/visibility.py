"""SQL expressions for the visibility and the order of the contents of a class.

A content is visible if it and all its ancestors are published.
"""

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    and_,
    bindparam,
    literal,
    null,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.sql.elements import BindParameter

from content_service.authoring.rules import DRAFT, MATERIAL, PUBLISHED
from content_service.tables import content_revisions, contents

# A sort path is one bigint: 20 bits for the position on each of three levels, outermost first.
_BITS_PER_LEVEL = 20
_LEVELS = 3
MAX_SORT_PATH = 1 << (_BITS_PER_LEVEL * _LEVELS)
"""The sort path of materials. It is greater than that of every content of the tree."""


def scope() -> BindParameter[str]:
    """Returns the parameter for the class of a statement."""
    return bindparam("scope_id", type_=UUID)


THE_CONTENT = (
    contents.c.scope_id == scope(),
    contents.c.content_id == bindparam("content_id"),
    contents.c.deleted_at == null(),
)
"""Selects a content by `scope_id` and `content_id`, unless it is deleted."""


def has_revision(state: str, content: FromClause = contents) -> ColumnElement[bool]:
    """Returns a condition: the content has a revision in this state. It uses the partial index of the state."""
    revision = content_revisions.alias()
    return (
        select(revision.c.revision_id)
        .where(
            revision.c.scope_id == scope(),
            revision.c.content_id == content.c.content_id,
            # A literal, because a generic plan cannot use a partial index for a parameter.
            revision.c.state == text(f"'{state}'"),
        )
        .correlate(content)
        .exists()
    )


def is_published(content: FromClause = contents) -> ColumnElement[bool]:
    """Returns a condition: the content itself is published. Its ancestors are not examined."""
    return has_revision(PUBLISHED, content)


def latest_revision() -> ColumnElement[bool]:
    """Returns a condition on `content_revisions`: the draft, or the published revision of a content without one."""
    published = and_(content_revisions.c.state == PUBLISHED, ~has_revision(DRAFT))
    return or_(content_revisions.c.state == DRAFT, published)


def sort_paths(*, published: bool) -> CTE:
    """Returns a CTE of `content_id` and `sort_path` that walks the tree of a class from the top.

    With `published` it contains only visible contents.
    """
    top, child = contents, contents.alias()
    base = select(
        top.c.content_id,
        literal(1, Integer).label("level"),
        _path_component(top, literal(_LEVELS - 1, Integer)).label("sort_path"),
    ).where(top.c.scope_id == scope(), top.c.parent_id == null(), *_visible(top, published))
    tree = base.cte("tree", recursive=True)
    return tree.union_all(
        select(
            child.c.content_id,
            tree.c.level + 1,
            tree.c.sort_path + _path_component(child, _LEVELS - 1 - tree.c.level),
        )
        .join(tree, and_(child.c.scope_id == scope(), child.c.parent_id == tree.c.content_id))
        .where(*_visible(child, published))
    )


def _path_component(content: FromClause, levels_below: ColumnElement[int]) -> ColumnElement[int]:
    return (content.c.position + 1).op("<<")(levels_below * _BITS_PER_LEVEL)


def _visible(content: FromClause, published: bool) -> list[ColumnElement[bool]]:
    conditions = [content.c.kind != MATERIAL, content.c.deleted_at == null()]
    return [*conditions, is_published(content)] if published else conditions
