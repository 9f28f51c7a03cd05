"""The course that benchmarks teach and ask about, and what its own pages ask."""

import re
from pathlib import Path

DATA = Path(__file__).parents[3] / "shared" / "data"
"""What is shared beside the repository, and never copied into it."""

_OBJECTIVES = re.compile(r"^#+ Learning objectives$(.+?)^#", re.MULTILINE | re.DOTALL)
_POINT = re.compile(r"^- (.+)$", re.MULTILINE)


def documents() -> list[Path]:
    """Its documents in order; none where there is no such data beside the repository."""
    return sorted((DATA / "course").glob("*.md"))


def questions(documents: list[Path]) -> list[str]:
    """The learning objectives of these documents, by turns: the first of each, then the second."""
    lists = [_objectives(document) for document in documents]
    return [points[place] for place in range(max(map(len, lists))) for points in lists if place < len(points)]


def _objectives(document: Path) -> list[str]:
    section = _OBJECTIVES.search(document.read_text(encoding="utf-8"))
    return _POINT.findall(section[1]) if section else []
