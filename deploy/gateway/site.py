"""The documentation that the gateway serves: the OpenAPI document and a page to browse it.

The page is Swagger UI from the wheel drf-spectacular-sidecar. The wheel is not imported, because that
would require Django.
"""

import importlib.util
import json
import os
from pathlib import Path

from deploy.gateway.openapi.document import document

_VIEWER = Path(__file__).parent / "viewer"
_WHEEL = "drf_spectacular_sidecar"
_ASSETS_PATH = "static/drf_spectacular_sidecar/swagger-ui-dist"
_ASSET_NAMES = ("swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css")


def write(descriptors: Path, directory: Path) -> None:
    """Writes `openapi.json` and the viewer to a directory, each file atomically.

    Raises ModuleNotFoundError if the wheel of the viewer is missing.
    """
    files = {file.name: file.read_bytes() for file in sorted(_VIEWER.iterdir())}
    files |= {name: (_assets_directory() / name).read_bytes() for name in _ASSET_NAMES}
    files["openapi.json"] = json.dumps(document(descriptors), ensure_ascii=False).encode()
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        part = directory / f".{name}.part"
        part.write_bytes(content)
        os.replace(part, directory / name)


def _assets_directory() -> Path:
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            "the wheel drf-spectacular-sidecar is missing: install it with pip install --no-deps", name=_WHEEL
        )
    return Path(found.submodule_search_locations[0]) / _ASSETS_PATH
