"""Which contents of a class count, in their order, as part of larger statements.

A content is visible when it and all that it stands under are published.
"""

from sqlalchemy import CTE, ColumnElement, Integer, and_, bindparam, literal, null, or_, select, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import BindParameter

from content_service.authoring.rules import DRAFT, MATERIAL, PUBLISHED
from content_service.tables import Content, Revision

# A place is one number: 20 bits for the position at each of three levels, outermost first.
_BITS = 20
_LEVELS = 3
AFTER_THE_TREE = 1 << (_BITS * _LEVELS)
"""The place of materials, which stand nowhere."""


def scope() -> BindParameter[str]:
    """The class that a statement is about."""
    return bindparam("scope_id", type_=UUID)


def has_revision(state: str, content: type[Content] = Content) -> ColumnElement[bool]:
    """Whether a content has a revision of this state; rides on the partial index of the state."""
    revision = aliased(Revision)
    return (
        select(revision.revision_id)
        .where(
            revision.scope_id == scope(),
            revision.content_id == content.content_id,
            # Written out, for a partial index serves no parameter.
            revision.state == text(f"'{state}'"),
        )
        .correlate(content)
        .exists()
    )


def is_published(content: type[Content] = Content) -> ColumnElement[bool]:
    """Whether a content itself is published, whatever it stands under."""
    return has_revision(PUBLISHED, content)


def seen_by_teachers() -> ColumnElement[bool]:
    """Of a content's revisions, its draft where there is one, else the published one."""
    published = and_(Revision.state == PUBLISHED, ~has_revision(DRAFT))
    return or_(Revision.state == DRAFT, published)


def tree(*, published: bool, below: BindParameter[str | None] | None = None) -> CTE:
    """`content_id`, `place` and `below` of the contents of a class, walked from the top.

    `published` leaves out what is not visible. `below` says of each content whether it is the
    given one or stands under it; True where none is given.
    """
    top, child = Content, aliased(Content)
    base = select(
        top.content_id,
        literal(1, Integer).label("level"),
        _share(top, literal(_LEVELS - 1, Integer)).label("place"),
        _is(top, below).label("below"),
    ).where(top.scope_id == scope(), top.parent_id == null(), *_counts(top, published))
    walked = base.cte("tree", recursive=True)
    return walked.union_all(
        select(
            child.content_id,
            walked.c.level + 1,
            walked.c.place + _share(child, _LEVELS - 1 - walked.c.level),
            or_(walked.c.below, _is(child, below)),
        )
        .join(walked, and_(child.scope_id == scope(), child.parent_id == walked.c.content_id))
        .where(*_counts(child, published))
    )


def _share(content: type[Content], levels_below: ColumnElement[int]) -> ColumnElement[int]:
    """What a content's position adds to its place."""
    return (content.position + 1).op("<<")(levels_below * _BITS)


def _is(content: type[Content], below: BindParameter[str | None] | None) -> ColumnElement[bool]:
    if below is None:
        return literal(True)
    return or_(below == null(), content.content_id == below)


def _counts(content: type[Content], published: bool) -> list[ColumnElement[bool]]:
    counts = [content.kind != MATERIAL, content.deleted_at == null()]
    return [*counts, is_published(content)] if published else counts
