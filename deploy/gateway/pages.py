"""Static pages of the gateway: the OpenAPI document and its viewer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.gateway.headers import added

MAX_BYTES = 4 * 1024 * 1024

_FILTERS = "type.googleapis.com/envoy.extensions.filters.http."
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Page:
    """A static file with its path."""

    path: str
    file: Path
    content_type: str


def pages(directory: Path) -> list[Page]:
    """Returns the pages of the docs directory. `index.html` is `/docs`, `openapi.json` is `/openapi.json`."""
    return [
        Page(_path(file.name), file, _TYPES[file.suffix])
        for file in sorted(directory.iterdir())
        if file.suffix in _TYPES
    ]


def page_route(page: Page) -> dict[str, Any]:
    """Returns the route of a public page, without transcoding and without RBAC, which has only RPCs."""
    headers = {
        "content-type": page.content_type,
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
        # frame-ancestors has no effect in the meta element of a page, so it must be a header.
        "content-security-policy": "frame-ancestors 'none'",
    }
    return {
        "name": page.path,
        "match": {
            "path": page.path,
            "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}],
        },
        "direct_response": {"status": 200, "body": {"filename": str(page.file)}},
        "response_headers_to_add": added(headers),
        "typed_per_filter_config": {
            "envoy.filters.http.grpc_json_transcoder": {
                "@type": f"{_FILTERS}grpc_json_transcoder.v3.GrpcJsonTranscoder",
                "proto_descriptor": "",
            },
            "envoy.filters.http.rbac": {"@type": f"{_FILTERS}rbac.v3.RBACPerRoute"},
        },
    }


def _path(name: str) -> str:
    return {"index.html": "/docs", "openapi.json": "/openapi.json"}.get(name, f"/docs/{name}")
