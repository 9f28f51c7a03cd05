"""The gateway serves the OpenAPI document and its page, and accepts requests as documented."""

import json
import re
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import pytest_asyncio

from chassis.certificates import CertificateAuthority
from chassis.testing import FakeTokenIssuer
from deploy.gateway import site
from deploy.gateway.contracts import descriptors
from deploy.gateway.envoy import Gateway, configuration
from deploy.gateway.pages import MAX_BYTES, pages
from deploy.stack import readiness
from deploy.stack.layout import SERVICES
from deploy.stack.programs import Program
from deploy.stack.stack import envoy_binary
from tests.local_stack import GUARD_SECONDS

UUID = "018f0000-0000-7000-8000-0000000000c1"


@pytest.fixture(scope="module")
def site_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    site.write(descriptors(), directory)
    return directory


@pytest_asyncio.fixture(scope="module")
async def gateway(
    site_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """Envoy with the site, without services."""
    directory = tmp_path_factory.mktemp("gateway")
    CertificateAuthority().issue("gateway", directory / "tls")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    public, keys, admin = (one.getsockname()[1] for one in sockets)
    for one in sockets:
        one.close()
    config = directory / "envoy.json"
    settings = Gateway(
        descriptors=descriptors(),
        tls_directory=directory / "tls",
        services={name: [] for name in SERVICES},
        host="127.0.0.1",
        port=public,
        keys_port=keys,
        admin_port=admin,
        pages=pages(site_directory),
        access_log=str(directory / "access.log"),
    )
    config.write_text(json.dumps(configuration(settings)))
    command = (str(envoy_binary()), "-c", str(config), "--disable-hot-restart", "--concurrency", "1")
    program = Program(name="envoy", command=command, log=directory / "envoy.log")
    process = program.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{public}", timeout=GUARD_SECONDS) as client:

            async def listens() -> bool:
                try:
                    reply = await client.get(f"http://127.0.0.1:{admin}/ready")
                except httpx.TransportError:
                    return False
                return reply.is_success

            alive = await readiness.wait_until(listens, lambda: process.poll() is None, GUARD_SECONDS)
            assert alive, program.log.read_text()[-2000:]
            yield client
    finally:
        process.kill()
        process.wait()


def test_the_site_has_every_file_that_its_page_loads(site_directory: Path) -> None:
    page = (site_directory / "index.html").read_text()
    loaded = set(re.findall(r'(?:src|href)="(/[^"]+)"', page))
    assert {"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/page.js"} < loaded
    assert loaded < {page.path for page in pages(site_directory)}


def test_every_file_of_the_site_is_served_and_small_enough(site_directory: Path) -> None:
    files = sorted(site_directory.iterdir())
    assert [page.file for page in pages(site_directory)] == files
    assert all(0 < file.stat().st_size < MAX_BYTES for file in files)


def test_the_site_refers_to_no_other_host(site_directory: Path) -> None:
    for name in ("index.html", "page.js", "page.css", "openapi.json"):
        text = (site_directory / name).read_text()
        if name == "openapi.json":
            # Examples in code quotes are shown as text.
            text = re.sub(r"`[^`]*`", "", text)
        assert not re.search(r"(?:\w+:|[\"'(])//\w", text), name
    style = (site_directory / "swagger-ui.css").read_text()
    assert all(url.strip("\"'").startswith("data:") for url in re.findall(r"url\((.{9})", style))
    assert "@import" not in style


def test_the_page_may_load_and_call_only_its_own_host(site_directory: Path) -> None:
    [policy] = re.findall(
        r'Content-Security-Policy" content="([^"]+)"', (site_directory / "index.html").read_text()
    )
    directives = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert (directives["script-src"], directives["connect-src"]) == ("'self'", "'self'")
    sources = {source for allowed in directives.values() for source in allowed.split()}
    assert sources <= {"'none'", "'self'", "'unsafe-inline'", "data:"}


def test_writing_the_site_again_replaces_its_files(site_directory: Path, tmp_path: Path) -> None:
    again = tmp_path / "site"
    shutil.copytree(site_directory, again)
    (again / "openapi.json").write_text("{}")
    site.write(descriptors(), again)
    assert {file.name: file.read_bytes() for file in again.iterdir()} == {
        file.name: file.read_bytes() for file in site_directory.iterdir()
    }


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/page.css", "text/css; charset=utf-8"),
        ("/docs/page.js", "text/javascript; charset=utf-8"),
        ("/docs/swagger-ui.css", "text/css; charset=utf-8"),
        ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("/docs/swagger-ui-bundle.js.LICENSE.txt", "text/plain; charset=utf-8"),
        ("/openapi.json", "application/json"),
    ],
)
async def test_pages_are_served_with_their_content_type(
    gateway: httpx.AsyncClient, site_directory: Path, path: str, content_type: str
) -> None:
    reply = await gateway.get(path, params={"from": "anywhere"})
    name = {"/docs": "index.html"}.get(path, path.rpartition("/")[2])
    assert reply.status_code == 200
    assert reply.headers["content-type"] == content_type
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.content == (site_directory / name).read_bytes()


async def test_pages_are_read_only(gateway: httpx.AsyncClient) -> None:
    head = await gateway.head("/docs")
    assert (head.status_code, head.content) == (200, b"")
    assert (await gateway.post("/docs", json={})).status_code == 404


@pytest.mark.parametrize("path", ["/", "/docs/nothing.js", "/docs/../etc/passwd", "/v1/nothing"])
async def test_an_unknown_path_is_a_json_error(gateway: httpx.AsyncClient, path: str) -> None:
    reply = await gateway.get(path)
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["details"][0]["reason"] == "METHOD_NOT_FOUND"


async def test_envoy_accepts_every_operation_as_documented(
    gateway: httpx.AsyncClient, site_directory: Path
) -> None:
    """A request that cannot be transcoded is rejected with 400 or 404 before the token is checked."""
    document = json.loads((site_directory / "openapi.json").read_text())
    for verb, path, operation in _operations(document):
        sent = {
            parameter["name"]: _sample(document, parameter["schema"])
            for parameter in operation.get("parameters", [])
        }
        url = path.format(**sent)
        query = {name: value for name, value in sent.items() if f"{{{name}}}" not in path}
        content = operation.get("requestBody", {}).get("content", {})
        body = {name: _sample(document, media["schema"]) for name, media in content.items()}
        json_body = body.get("application/json")
        reply = await gateway.request(
            verb, url, params=query, json=json_body, content=body.get("application/octet-stream")
        )
        # There is no service behind the gateway, so a public operation is UNAVAILABLE.
        expected = 503 if operation.get("security") == [] else 401
        assert reply.status_code == expected, (operation["operationId"], reply.text)
        assert reply.headers.get("retry-after") == ("1" if expected == 503 else None)


async def test_without_keys_a_token_is_not_reported_as_invalid(gateway: httpx.AsyncClient) -> None:
    """There is no service behind the gateway, so it has no keys."""
    headers = {"authorization": f"Bearer {FakeTokenIssuer().token(UUID)}"}
    reply = await gateway.get("/v1/users/me", headers=headers)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["details"][0]["reason"] == "SERVICE_UNAVAILABLE"


async def test_an_undocumented_query_parameter_is_rejected(
    gateway: httpx.AsyncClient,
) -> None:
    reply = await gateway.get("/v1/users/me/sessions", params={"page": 1})
    assert reply.status_code == 400
    assert reply.json()["details"][0]["reason"] == "REQUEST_MALFORMED"


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            yield verb, path, operation


def _sample(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """Returns a value of a schema with all properties."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return _sample(document, schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][-1]
    match schema.get("type"):
        case None:
            return "anything"
        case "object":
            return {name: _sample(document, one) for name, one in schema.get("properties", {}).items()}
        case "array":
            return [_sample(document, schema["items"])]
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return True
    formats = {"uuid": UUID, "int64": "7", "date-time": "2026-01-01T00:00:00Z"}
    return formats.get(schema.get("format", ""), "displayName" if "pattern" in schema else "text")
