"""Value types of search."""

from typing import NamedTuple


class ChunkRow(NamedTuple):
    """A chunk of a material, with the revision of the material that it is cited under."""

    scope_id: str
    material_id: str
    revision_id: str
    chunk_id: str
    material_title: str
    ordinal: int
    page: int
    section: str
    char_start: int
    char_end: int
    text: str
    places: list[tuple[int, int, str]]
    """The later pages and sections: each its offset in characters, its page and its section."""
