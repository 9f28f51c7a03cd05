"""Conversions from rows of search to messages."""

from content_service.knowledge.types import ChunkRow
from meno.content.v1.resources_pb2 import Chunk


def to_message(row: ChunkRow) -> Chunk:
    """Returns the message of a chunk."""
    values = row._asdict()
    places = [
        Chunk.Place(char_start=start, page=page, section=section)
        for start, page, section in values.pop("places")
    ]
    return Chunk(class_id=values.pop("scope_id"), places=places, **values)
