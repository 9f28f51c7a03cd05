"""The test of a backend, against a local server that answers correctly or not."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chassis.certificates import CertificateAuthority
from identity_service.administration.models.backends import probe
from identity_service.administration.models.backends.types import BackendFields, EgressPolicy, ProbeResult
from identity_service.tests.provider import Provider, provider

KEY = "the-key-of-this-test"
OPENAI = {"object": "list", "data": [{"id": "gpt-5.2"}]}


@pytest_asyncio.fixture
async def backend(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    monkeypatch.setenv("SOME_KEY", KEY)
    async with provider() as running:
        yield running


async def probe_backend(
    backend: Provider,
    kind: str = "openai",
    key_reference: str = "env:SOME_KEY",
    base_url: str = "",
    private: bool = True,
) -> ProbeResult:
    fields = BackendFields("Models", kind, base_url or f"http://{backend.host}/v1", key_reference)
    result = await probe.probe(
        fields, EgressPolicy(Path("/nowhere"), frozenset({backend.host} if private else ()))
    )
    assert KEY not in str(result)
    assert bool(result.problem) != bool(result.model_names)
    assert result.latency_seconds >= 0
    return result


@pytest.mark.parametrize(
    ("kind", "answer", "names", "header"),
    [
        ("openai", OPENAI, ["gpt-5.2"], f"authorization: bearer {KEY}"),
        ("anthropic", {"data": [{"id": "claude-opus-4-6"}]}, ["claude-opus-4-6"], f"x-api-key: {KEY}"),
        ("google", {"models": [{"name": "models/gemini-3"}]}, ["gemini-3"], f"x-goog-api-key: {KEY}"),
    ],
)
async def test_a_working_backend_is_reachable_and_its_models_are_listed(
    backend: Provider, kind: str, answer: Any, names: list[str], header: str
) -> None:
    backend.lists(answer)
    result = await probe_backend(backend, kind)
    assert (result.problem, result.model_names) == ("", names)
    [asked] = backend.asked
    assert asked.startswith("get /v1/models http/1.1\r\n")
    assert f"{header}\r\n" in asked
    assert f"host: {backend.host}\r\n" in asked


async def test_the_built_in_backend_is_tested_without_a_request() -> None:
    result = await probe.probe(BackendFields("Meno", "builtin"), EgressPolicy(Path("/nowhere"), frozenset()))
    assert (result.problem, result.model_names) == ("", ["extractive", "deterministic"])


@pytest.mark.parametrize(
    ("status", "headers", "body", "problem"),
    [
        (401, "", f"no, not {KEY}".encode(), "HTTP 401: it rejects the key"),
        (403, "", b"", "HTTP 403: this key may not list models"),
        (404, "", b"", "HTTP 404: it has no list of models"),
        (429, "", b"", "HTTP 429: too many requests"),
        (500, "", b"", "HTTP 500: it has an internal error"),
        (418, "", b"", "HTTP 418: it does not support this API"),
        (302, f"location: https://evil.example/{KEY}\r\n", b"", "redirects to another address"),
        (200, "", b"<html>", "is not JSON"),
        (200, "", b"\xff\xfe", "is not JSON"),
        (200, "", b"[" * 500_000, "is not JSON"),
        (200, "content-encoding: gzip\r\n", b"\x1f\x8b\x08", "is not JSON"),
        (200, "", b'{"models": []}', "does not match the protocol"),
        (200, "", b" " * (probe.MAX_BYTES + 1), "larger than 1 MiB"),
    ],
)
async def test_an_unusable_response_is_explained_by_a_fixed_text(
    backend: Provider, status: int, headers: str, body: bytes, problem: str
) -> None:
    backend.status, backend.headers, backend.body = status, headers, body
    assert problem in (await probe_backend(backend)).problem
    assert len(backend.asked) == 1


async def test_a_missing_key_is_reported(backend: Provider) -> None:
    backend.status = 401
    assert "requires a key" in (await probe_backend(backend, key_reference="")).problem
    assert "authorization" not in backend.asked[0]


@pytest.mark.parametrize(
    ("key_reference", "problem"),
    [
        ("env:NOT_THERE", "the referenced environment variable does not exist on this machine"),
        ("file:openai", "the referenced file does not exist"),
        ("env:MENO_SECRET", "must not name a variable of the services"),
        ("file:/etc/hostname", "must be a path of a file in"),
    ],
)
async def test_an_unreadable_key_is_reported_and_no_request_is_sent(
    backend: Provider, key_reference: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The rules are checked again, whatever reference is stored.
    monkeypatch.setenv("MENO_SECRET", KEY)
    assert problem in (await probe_backend(backend, key_reference=key_reference)).problem
    assert backend.asked == []


async def test_a_stored_private_address_is_not_contacted(backend: Provider) -> None:
    port = backend.host.partition(":")[2]
    private = f"https://127.0.0.1:{port}/v1"
    assert (
        "resolves to a private address"
        in (await probe_backend(backend, base_url=private, private=False)).problem
    )
    by_name = EgressPolicy(Path("/nowhere"), frozenset())
    resolved = await probe.probe(
        BackendFields("Models", "openai", f"https://localhost.example:{port}/v1"), by_name
    )
    assert "The host name cannot be resolved" in resolved.problem
    assert backend.asked == []


async def test_a_host_name_with_a_private_address_is_reported(
    backend: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve_to_loopback(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve_to_loopback)
    result = await probe_backend(backend, base_url="https://models.example/v1", private=False)
    assert "The host name resolves to a private address" in result.problem


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "does not use HTTP"),
        (b"", "does not use HTTP"),
        (b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nso", "closed the connection"),
    ],
)
async def test_a_response_that_is_not_http_is_reported(backend: Provider, raw: bytes, problem: str) -> None:
    backend.raw = raw
    assert problem in (await probe_backend(backend)).problem


async def test_a_refused_connection_is_reported(backend: Provider) -> None:
    backend.host = "127.0.0.1:1"
    assert "The connection was refused" in (await probe_backend(backend)).problem


@pytest.mark.parametrize("body", [b"", json.dumps(OPENAI).encode()[:20]])
async def test_a_backend_that_stops_responding_times_out(
    backend: Provider, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "TIMEOUT_SECONDS", 0.2)
    backend.raw, backend.hang = b"HTTP/1.1 200 X\r\ncontent-length: 90\r\n\r\n" + body if body else b"", True
    assert "did not respond within" in (await probe_backend(backend)).problem


async def test_an_untrusted_certificate_is_reported(tmp_path: Path) -> None:
    CertificateAuthority().issue("models.example", tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with provider(tls) as backend:
        result = await probe_backend(backend, key_reference="", base_url=f"https://{backend.host}/v1")
        assert "certificate is not valid" in result.problem
        assert backend.asked == []


async def test_https_to_a_server_without_tls_is_reported(backend: Provider) -> None:
    backend.raw = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    assert "does not use TLS" in (await probe_backend(backend, base_url=f"https://{backend.host}/v1")).problem
