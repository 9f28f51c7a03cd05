"""Rules of search."""

from content_service.knowledge.text import normalize

MAX_QUERY_CHARACTERS = 1000
"""The part of a query that is used."""


def normalize_query(text: str) -> str:
    """Returns the first part of a query, normalised as chunks are. Returns "" if nothing is visible."""
    return normalize(text[:MAX_QUERY_CHARACTERS])[:MAX_QUERY_CHARACTERS].strip()
