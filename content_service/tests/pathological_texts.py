"""Texts for which some parsers and regular expressions need quadratic time.

The module is also a process that extracts and splits them all: `python -m content_service.tests.pathological_texts`.
It prints the description of each text after its processing, and exceeding its CPU time kills it.
"""

import resource
import tempfile
from pathlib import Path

from content_service.materials.ingestion.chunking import split_chunks
from content_service.materials.ingestion.extraction import extract
from content_service.materials.ingestion.types import ChunkLimits, SourceFile, TextLimits
from content_service.materials.rules import HTML, MARKDOWN, PLAIN

CHARACTERS = 50_000
CPU_SECONDS = 40
UNITS = {
    "unfinished tags": (HTML, "<a "),
    "unfinished tags and one end": (HTML, "<a <a>"),
    "unfinished comments": (HTML, "<!-- >"),
    "unfinished declarations": (HTML, "<![CDATA[ >"),
    "unfinished entities": (HTML, "&#x"),
    "unfinished end tags": (HTML, "</a </"),
    "unfinished attributes": (HTML, "<a b='"),
    "nested elements": (HTML, "<div>"),
    "nested hidden elements": (HTML, "<div hidden>"),
    "nested quotations": (MARKDOWN, "> "),
    "nested lists": (MARKDOWN, "- "),
    "lists in quotations": (MARKDOWN, "> - 1. "),
    "brackets": (MARKDOWN, "["),
    "links": (MARKDOWN, "[](<"),
    "definitions": (MARKDOWN, "[a]: b\n\n"),
    "fences": (MARKDOWN, "```\n~~~\n"),
    "backticks": (MARKDOWN, "`" * 9 + "a``b"),
    "emphasis": (MARKDOWN, "*a_ "),
    "comments": (MARKDOWN, "a <!-- "),
    "headings": (MARKDOWN, "# a\n"),
    "underlines": (MARKDOWN, "a\n=\n"),
    "tables": (MARKDOWN, "|a"),
    "blank lines": (PLAIN, "a\n \n \n"),
    "line separators": (PLAIN, "\u2028"),
    "words and line separators": (PLAIN, "a\u2028"),
    "spaces": (PLAIN, " "),
    "no-break spaces": (PLAIN, "a" + "\u00a0" * 999),
    "ends of sentences": (PLAIN, ". "),
    "one word": (PLAIN, "x"),
    "hyphens": (PLAIN, "a-\n"),
    "combining characters": (PLAIN, "\u0301\u0323"),
    "compatible combining characters": (PLAIN, "\uff9e\uff9f"),
    "joiners": (PLAIN, "\u0915\u200d"),
    "letters of Hangul": (PLAIN, "\u1100\u1161"),
}
"""A unit that is repeated, with the format of the file, by description."""


def main() -> None:
    """Processes all texts."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    with tempfile.NamedTemporaryFile() as file:
        for description, (file_format, unit) in UNITS.items():
            path = Path(file.name)
            path.write_text(f"A word.\n\n{unit * (CHARACTERS // len(unit))}", encoding="utf-8")
            extracted = extract(SourceFile(path, file_format), TextLimits(CHARACTERS * 2, 1))
            [first, *_] = split_chunks(extracted, ChunkLimits(220, 0), markdown=file_format != PLAIN)
            assert first.text.startswith("A word."), description
            print(description, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
