"""Value types of contents and their revisions."""

from datetime import datetime
from typing import Any, NamedTuple


class ContentRow(NamedTuple):
    """A content with one of its revisions."""

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
    sort_path: int = 0
    """The sort key in a list; 0 in a single read."""


class LockedContent(NamedTuple):
    """A content whose row is locked until the transaction ends."""

    kind: str
    version: int
    has_draft: bool = False
    has_published: bool = False


class NewContent(NamedTuple):
    """A content to insert, with its first draft."""

    scope_id: str
    parent_id: str | None
    kind: str
    title: str
    body: dict[str, Any]
    created_by_user_id: str


class DraftChanges(NamedTuple):
    """New values of a draft; None keeps the current value."""

    title: str | None
    body: dict[str, Any] | None
    kind: str | None
    """The kind that the new body belongs to."""
