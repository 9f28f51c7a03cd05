"""Value types of materials."""

from datetime import datetime
from typing import Any, NamedTuple


class MaterialRow(NamedTuple):
    """A material with its latest revision and the state of its processing."""

    scope_id: str
    material_id: str
    revision_id: str
    title: str
    body: dict[str, Any]
    version: int
    status: str
    stage: str
    progress: int
    failure_reason: str | None
    failure_message: str
    chunk_count: int
    page_count: int
    created_at: datetime
    updated_at: datetime


class NewFile(NamedTuple):
    """The file of a material to insert."""

    storage_key: str
    content_type: str
    charset: str
    """The charset that the upload declared; empty if it declared none."""
    size_bytes: int


class NewMaterial(NamedTuple):
    """A material to insert."""

    scope_id: str
    title: str
    file_name: str
    content_type: str
    charset: str
    """The charset that the upload declared; empty if it declared none."""
    created_by_user_id: str
