"""Conversions from rows of search to messages."""

from content_service.knowledge.types import ChunkRow
from meno.content.v1.resources_pb2 import Chunk


def to_message(row: ChunkRow) -> Chunk:
    """Returns the message of a chunk."""
    values = row._asdict()
    return Chunk(class_id=values.pop("scope_id"), **values)
