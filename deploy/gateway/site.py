"""The documentation that the gateway serves: the OpenAPI document and a page to browse it."""

from pathlib import Path


def write(descriptors: Path, directory: Path) -> None:
    """Writes `openapi.json` and the viewer to a directory."""
    directory.mkdir(parents=True, exist_ok=True)
