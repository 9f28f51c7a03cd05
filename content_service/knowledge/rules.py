"""Rules of finding."""

from content_service.materials.ingestion.extraction import normalised

MAX_QUERY = 1000
"""Characters of a question that count."""


def query_of(text: str) -> str:
    """A question in the form in which passages are stored, as far as it counts; empty where nothing shows."""
    return normalised(text[:MAX_QUERY])[:MAX_QUERY].strip()
