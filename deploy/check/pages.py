"""Regenerates the generated pages of `docs/`, or checks that they are current.

`python -m deploy.check.pages` fails if a page is stale; `--update`, as `make docs`, rewrites them.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from deploy.gateway import access_page, errors_page
from deploy.gateway.contracts import descriptors
from deploy.stack.layout import ROOT

GENERATORS: dict[str, Callable[[str, Path], str]] = {
    "docs/access.md": access_page.update,
    "docs/errors.md": errors_page.update,
}
"""Page to the function that returns its current text from the present text and the descriptor set."""


def stale_pages(root: Path = ROOT) -> dict[Path, str]:
    """Returns the pages whose text is not current, each with its current text."""
    pages = {}
    for path, generate in GENERATORS.items():
        page = root / path
        text = page.read_text()
        current = generate(text, descriptors())
        if current != text:
            pages[page] = current
    return pages


def main() -> int:
    """Updates or reports the stale pages; returns the exit status."""
    stale = stale_pages()
    if "--update" in sys.argv[1:]:
        for page, current in stale.items():
            page.write_text(current)
        return 0
    for page in stale:
        print(f"{page.relative_to(ROOT)} is stale: run make docs")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
