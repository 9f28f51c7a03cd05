"""The pages that the gateway serves itself: the OpenAPI document and its viewer."""

from pathlib import Path

from deploy.gateway.envoy import Page

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}


def pages(directory: Path) -> list[Page]:
    """Every file of the docs directory; `index.html` is `/docs`, `openapi.json` is `/openapi.json`."""
    found = []
    for file in sorted(directory.iterdir()):
        if file.suffix in _TYPES:
            found.append(Page(_path(file.name), file, _TYPES[file.suffix]))
    return found


def _path(name: str) -> str:
    return {"index.html": "/docs", "openapi.json": "/openapi.json"}.get(name, f"/docs/{name}")
