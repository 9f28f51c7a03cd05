"""The course of the benchmarks, and questions from its own pages."""

import re
from pathlib import Path

DATA = Path(__file__).parents[3] / "shared" / "data"
"""Data sets beside the repository. They are never copied into it."""

_OBJECTIVES = re.compile(r"^#+ Learning objectives$(.+?)^#", re.MULTILINE | re.DOTALL)
_POINT = re.compile(r"^- (.+)$", re.MULTILINE)


def documents() -> list[Path]:
    """Returns the documents in order, or an empty list if the data sets do not exist."""
    return sorted((DATA / "course").glob("*.md"))


def questions(documents: list[Path]) -> list[str]:
    """Returns the learning objectives of these documents: the first of each document, then the second, and so on."""
    lists = [_objectives(document) for document in documents]
    return [points[index] for index in range(max(map(len, lists))) for points in lists if index < len(points)]


def _objectives(document: Path) -> list[str]:
    section = _OBJECTIVES.search(document.read_text(encoding="utf-8"))
    return _POINT.findall(section[1]) if section else []
