"""Rules of contents."""

from meno.content.v1.content_service_pb2 import Body

MODULE, LESSON, MATERIAL = "MODULE", "LESSON", "MATERIAL"
"""Kinds of content."""
DRAFT, PUBLISHED, ARCHIVED = "DRAFT", "PUBLISHED", "ARCHIVED"
"""States of a revision."""

# What a content may stand under; None is the top. A material stands nowhere: it is attached.
_PARENTS: dict[str, frozenset[str | None]] = {
    MODULE: frozenset({None}),
    LESSON: frozenset({None, MODULE}),
    MATERIAL: frozenset(),
}

TAKES_MATERIAL = frozenset({MODULE, LESSON})


def kind_of(body: Body) -> str:
    """The kind of content that a body belongs to. Raises ValueError for an empty one."""
    kind = body.WhichOneof("kind")
    if kind is None:
        raise ValueError("the body is of no kind")
    return kind.upper()


def may_stand(kind: str, parent_kind: str | None) -> bool:
    """Whether content of one kind may stand under another, or at the top."""
    return parent_kind in _PARENTS[kind]
