"""Rules of the content tree."""

MODULE, LESSON, MATERIAL = "MODULE", "LESSON", "MATERIAL"
"""Kinds of content."""
DRAFT, PUBLISHED, ARCHIVED = "DRAFT", "PUBLISHED", "ARCHIVED"
"""States of a revision."""

# The permitted kinds of the parent; None is the top level. Materials are attached and have no parent.
_PARENT_KINDS: dict[str, frozenset[str | None]] = {
    MODULE: frozenset({None}),
    LESSON: frozenset({None, MODULE}),
    MATERIAL: frozenset(),
}

KINDS_WITH_MATERIALS = frozenset({MODULE, LESSON})
"""Kinds that materials can be attached to."""


def can_be_child_of(kind: str, parent_kind: str | None) -> bool:
    """Returns whether a content may have a parent of this kind; None is the top level."""
    return parent_kind in _PARENT_KINDS[kind]
