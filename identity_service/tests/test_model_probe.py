"""Tests of a backend, against a server that speaks, or does not speak, its provider's protocol."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chassis.certificates import Authority
from identity_service.administration.models import probe
from identity_service.administration.models.backend_store import Backend
from identity_service.administration.models.probe import Outcome
from identity_service.administration.models.rules import Reach
from identity_service.tests.provider import Provider, provider

KEY = "the-key-of-this-test"
OPENAI = {"object": "list", "data": [{"id": "gpt-5.2"}]}


@pytest_asyncio.fixture
async def backend(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    monkeypatch.setenv("SOME_KEY", KEY)
    async with provider() as running:
        yield running


async def ask(
    backend: Provider,
    kind: str = "OPENAI",
    key_reference: str = "env:SOME_KEY",
    base_url: str = "",
    private: bool = True,
) -> Outcome:
    asked = Backend("Models", kind, base_url or f"http://{backend.host}/v1", key_reference)
    tested = await probe.ask(asked, Reach(Path("/nowhere"), frozenset({backend.host} if private else ())))
    assert KEY not in str(tested)
    assert bool(tested.problem) != bool(tested.model_names)
    assert tested.milliseconds >= 0
    return tested


@pytest.mark.parametrize(
    ("kind", "answer", "names", "header"),
    [
        ("OPENAI", OPENAI, ["gpt-5.2"], f"authorization: bearer {KEY}"),
        ("ANTHROPIC", {"data": [{"id": "claude-opus-4-6"}]}, ["claude-opus-4-6"], f"x-api-key: {KEY}"),
        ("GOOGLE", {"models": [{"name": "models/gemini-3"}]}, ["gemini-3"], f"x-goog-api-key: {KEY}"),
    ],
)
async def test_a_backend_that_answers_is_reachable_and_its_models_are_named(
    backend: Provider, kind: str, answer: Any, names: list[str], header: str
) -> None:
    backend.lists(answer)
    tested = await ask(backend, kind)
    assert (tested.problem, tested.model_names) == ("", names)
    [asked] = backend.asked
    assert asked.startswith("get /v1/models http/1.1\r\n")
    assert f"{header}\r\n" in asked
    assert f"host: {backend.host}\r\n" in asked


async def test_meno_itself_answers_without_being_asked() -> None:
    tested = await probe.ask(Backend("Meno", "BUILTIN"), Reach(Path("/nowhere"), frozenset()))
    assert (tested.problem, tested.model_names) == ("", ["extractive", "deterministic"])


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (401, "", f"no, not {KEY}".encode(), "status 401: it refuses the key"),
        (403, "", b"", "status 403: it does not let this key"),
        (404, "", b"", "status 404: it has no list of models there"),
        (429, "", b"", "status 429: it answers no more for now"),
        (500, "", b"", "status 500: it has a fault of its own"),
        (418, "", b"", "status 418: it does not understand"),
        (302, f"location: https://evil.example/{KEY}\r\n", b"", "sends elsewhere"),
        (200, "", b"<html>", "does not answer with JSON"),
        (200, "", b"\xff\xfe", "does not answer with JSON"),
        (200, "", b"[" * 500_000, "does not answer with JSON"),
        (200, "content-encoding: gzip\r\n", b"\x1f\x8b\x08", "does not answer with JSON"),
        (200, "", b'{"models": []}', "does not speak the provider's protocol"),
        (200, "", b" " * (probe.MAX_BYTES + 1), "longer than any is"),
    ],
)
async def test_an_answer_that_is_none_is_told_in_words_that_are_ours(
    backend: Provider, status: int, headers: str, body: bytes, said: str
) -> None:
    backend.status, backend.headers, backend.body = status, headers, body
    problem = (await ask(backend)).problem
    assert said in problem
    assert len(backend.asked) == 1


async def test_a_backend_that_asks_for_a_key_where_none_is_set_says_so(backend: Provider) -> None:
    backend.status = 401
    assert "asks for a key" in (await ask(backend, key_reference="")).problem
    assert "authorization" not in backend.asked[0]


@pytest.mark.parametrize(
    ("key_reference", "said"),
    [
        ("env:NOT_THERE", "there is no such variable on this machine"),
        ("file:openai", "there is no such file"),
        ("env:MENO_SECRET", "are the services' own"),
        ("file:/etc/hostname", "the path does not lead out of it"),
    ],
)
async def test_a_key_that_cannot_be_read_is_a_problem_and_nobody_is_asked(
    backend: Provider, key_reference: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever was stored: the rule is checked again where the reference is followed.
    monkeypatch.setenv("MENO_SECRET", KEY)
    assert said in (await ask(backend, key_reference=key_reference)).problem
    assert backend.asked == []


async def test_a_host_inside_is_not_asked_however_it_came_to_be_stored(backend: Provider) -> None:
    port = backend.host.partition(":")[2]
    inside = f"https://127.0.0.1:{port}/v1"
    assert "leads into the house" in (await ask(backend, base_url=inside, private=False)).problem
    by_name = Reach(Path("/nowhere"), frozenset())
    resolved = await probe.ask(Backend("Models", "OPENAI", f"https://localhost.example:{port}/v1"), by_name)
    assert "Nobody knows the host's name" in resolved.problem
    assert backend.asked == []


async def test_a_name_that_leads_inside_is_told(backend: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", inside)
    tested = await ask(backend, base_url="https://models.example/v1", private=False)
    assert "The host's name leads into the house" in tested.problem


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (b"", "does not speak HTTP"),
        (b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nso", "broke off"),
    ],
)
async def test_what_does_not_speak_http_is_told(backend: Provider, raw: bytes, said: str) -> None:
    backend.raw = raw
    assert said in (await ask(backend)).problem


async def test_a_port_that_nobody_listens_on_is_told(backend: Provider) -> None:
    backend.host = "127.0.0.1:1"
    assert "Nothing answers at that host and port" in (await ask(backend)).problem


@pytest.mark.parametrize("body", [b"", json.dumps(OPENAI).encode()[:20]])
async def test_a_backend_that_falls_silent_is_given_up(
    backend: Provider, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "SECONDS", 0.2)
    backend.raw, backend.hang = b"HTTP/1.1 200 X\r\ncontent-length: 90\r\n\r\n" + body if body else b"", True
    assert "did not answer within" in (await ask(backend)).problem


async def test_a_certificate_that_nobody_here_trusts_is_told(tmp_path: Path) -> None:
    Authority().issue("models.example", tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with provider(tls) as backend:
        tested = await ask(backend, key_reference="", base_url=f"https://{backend.host}/v1")
        assert "certificate is not valid" in tested.problem
        assert backend.asked == []


async def test_tls_with_who_speaks_none_is_told(backend: Provider) -> None:
    backend.raw = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    assert "it speaks no TLS" in (await ask(backend, base_url=f"https://{backend.host}/v1")).problem
