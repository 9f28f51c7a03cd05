"""SQL expressions for the visibility and the order of the contents of a class.

A content is visible if it and all its ancestors are published.
"""

from sqlalchemy import CTE, ColumnElement, Integer, and_, bindparam, literal, null, or_, select, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import BindParameter

from content_service.authoring.rules import DRAFT, MATERIAL, PUBLISHED
from content_service.tables import Content, Revision

# A sort path is one bigint: 20 bits for the position on each of three levels, outermost first.
_BITS_PER_LEVEL = 20
_LEVELS = 3
MAX_SORT_PATH = 1 << (_BITS_PER_LEVEL * _LEVELS)
"""The sort path of materials. It is greater than that of every content of the tree."""


def scope() -> BindParameter[str]:
    """Returns the parameter for the class of a statement."""
    return bindparam("scope_id", type_=UUID)


THE_CONTENT = (
    Content.scope_id == scope(),
    Content.content_id == bindparam("content_id"),
    Content.deleted_at == null(),
)
"""Selects a content by `scope_id` and `content_id`, unless it is deleted."""


def has_revision(state: str, content: type[Content] = Content) -> ColumnElement[bool]:
    """Returns a condition: the content has a revision in this state. It uses the partial index of the state."""
    revision = aliased(Revision)
    return (
        select(revision.revision_id)
        .where(
            revision.scope_id == scope(),
            revision.content_id == content.content_id,
            # A literal, because a generic plan cannot use a partial index for a parameter.
            revision.state == text(f"'{state}'"),
        )
        .correlate(content)
        .exists()
    )


def is_published(content: type[Content] = Content) -> ColumnElement[bool]:
    """Returns a condition: the content itself is published. Its ancestors are not examined."""
    return has_revision(PUBLISHED, content)


def latest_revision() -> ColumnElement[bool]:
    """Returns a condition on Revision: the draft of a content, or the published revision if it has no draft."""
    published = and_(Revision.state == PUBLISHED, ~has_revision(DRAFT))
    return or_(Revision.state == DRAFT, published)


def sort_paths(*, published: bool) -> CTE:
    """Returns a CTE of `content_id` and `sort_path` that walks the tree of a class from the top.

    With `published` it contains only visible contents.
    """
    top, child = Content, aliased(Content)
    base = select(
        top.content_id,
        literal(1, Integer).label("level"),
        _path_component(top, literal(_LEVELS - 1, Integer)).label("sort_path"),
    ).where(top.scope_id == scope(), top.parent_id == null(), *_visible(top, published))
    tree = base.cte("tree", recursive=True)
    return tree.union_all(
        select(
            child.content_id,
            tree.c.level + 1,
            tree.c.sort_path + _path_component(child, _LEVELS - 1 - tree.c.level),
        )
        .join(tree, and_(child.scope_id == scope(), child.parent_id == tree.c.content_id))
        .where(*_visible(child, published))
    )


def _path_component(content: type[Content], levels_below: ColumnElement[int]) -> ColumnElement[int]:
    return (content.position + 1).op("<<")(levels_below * _BITS_PER_LEVEL)


def _visible(content: type[Content], published: bool) -> list[ColumnElement[bool]]:
    conditions = [content.kind != MATERIAL, content.deleted_at == null()]
    return [*conditions, is_published(content)] if published else conditions
