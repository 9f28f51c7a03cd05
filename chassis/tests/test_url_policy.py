"""URL policy and HTTP transport: private addresses are refused in every notation."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import cli, url_policy
from chassis.certificates import CertificateAuthority
from chassis.models.settings import ModelSettings
from chassis.safe_http import NameResolutionError, PrivateAddressError, PublicAddressTransport
from chassis.url_policy import Endpoint, UrlNotAllowed

NO_HOSTS = frozenset[str]()
ALLOWLISTED = frozenset({"localhost:11434", "gpu", "[fd00::1]:8000", "10.0.0.5"})

Resolve = Callable[[dict[str, list[str]]], list[str]]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://api.openai.com/v1", Endpoint("https", "api.openai.com", 443)),
        ("https://api.openai.com", Endpoint("https", "api.openai.com", 443)),
        ("HTTPS://API.Example.COM:8443/v1/", Endpoint("https", "api.example.com", 8443)),
        ("https://xn--bcher-kva.example/openai/v1", Endpoint("https", "xn--bcher-kva.example", 443)),
        ("https://93.184.216.34/v1", Endpoint("https", "93.184.216.34", 443)),
        ("https://[2606:4700::1111]/v1", Endpoint("https", "2606:4700::1111", 443)),
        (
            "https://generativelanguage.googleapis.com/v1beta",
            Endpoint("https", "generativelanguage.googleapis.com", 443),
        ),
    ],
)
def test_a_public_url_is_accepted(url: str, endpoint: Endpoint) -> None:
    assert url_policy.check(url, NO_HOSTS) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:11434/v1",
        "http://LOCALHOST:11434/v1",
        "https://localhost:11434/v1",
        "http://gpu/v1",
        "https://gpu/v1",
        "http://gpu:80",
        "http://[fd00::1]:8000/v1",
        "http://10.0.0.5",
    ],
)
def test_an_allow_listed_host_may_be_private_and_without_tls(url: str) -> None:
    url_policy.check(url, ALLOWLISTED)
    with pytest.raises(UrlNotAllowed):
        url_policy.check(url, NO_HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/v1",
        "http://localhost:11435/v1",
        "http://gpu:8080/v1",
        "http://gpu.example.com/v1",
        "http://localhost:11434@evil.example/v1",
        "http://localhost:11434.evil.example/v1",
        "http://10.0.0.5:81",
    ],
)
def test_a_host_that_only_resembles_an_allow_listed_one_is_refused(url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        url_policy.check(url, ALLOWLISTED)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com",
        "//api.openai.com",
        "ftp://api.openai.com",
        "file:///etc/passwd",
        "http://api.openai.com/v1",
        "https:///v1",
        "https://",
        "https:api.openai.com",
        "https:/\\api.openai.com",
        # Users, passwords, queries, fragments, and characters that hide them.
        "https://user@api.openai.com/v1",
        "https://user:password@api.openai.com/v1",
        "https://api.openai.com%40127.0.0.1/v1",
        "https://api.openai.com\\@127.0.0.1/v1",
        "https://api.openai.com/v1?key=1",
        "https://api.openai.com?@127.0.0.1/",
        "https://api.openai.com#@127.0.0.1/",
        "https://api.openai.com/v1\r\nhost: localhost",
        "https://api.openai.com/v1 ",
        "\thttps://api.openai.com/v1",
        # Hosts that resolvers and browsers interpret differently.
        "https://api.openai.com./v1",
        "https://localhost./v1",
        "https://.example.com/v1",
        "https://a..example.com/v1",
        "https://-a.example.com/v1",
        "https://ａｐｉ.openai.com/v1",
        "https://①②⑦.⓪.⓪.①/v1",
        "https://127。0。0。1/v1",
        "https://exam\u00adple.com/v1",
        "https://bücher.example/v1",
        "https://%6c%6f%63alhost/v1",
        f"https://{'a.' * 130}com/v1",
        # Ports.
        "https://api.openai.com:0/v1",
        "https://api.openai.com:65536/v1",
        "https://api.openai.com:/v1",
        "https://api.openai.com:٤٤٣/v1",
        # The loopback and unspecified addresses.
        "https://localhost/v1",
        "https://sub.localhost/v1",
        "https://127.0.0.1/v1",
        "https://127.1/v1",
        "https://127.0.1/v1",
        "https://0/v1",
        "https://0.0.0.0/v1",
        "https://2130706433/v1",
        "https://0x7f000001/v1",
        "https://0x7f.0.0.1/v1",
        "https://0x/v1",
        "https://0177.0.0.1/v1",
        "https://017700000001/v1",
        "https://127.0.0.01/v1",
        "https://1.2.3.4.5/v1",
        "https://256.256.256.256/v1",
        "https://[::]/v1",
        "https://[::1]/v1",
        "https://[0:0:0:0:0:0:0:1]/v1",
        "https://[::ffff:127.0.0.1]/v1",
        "https://[::ffff:7f00:1]/v1",
        "https://[::127.0.0.1]/v1",
        "https://[::1%25lo]/v1",
        "https://[::1%lo]/v1",
        "https://[::1",
        "https://[127.0.0.1]/v1",
        # Private, reserved and multicast addresses, and names of the local network.
        "https://10.0.0.1/v1",
        "https://172.16.0.1/v1",
        "https://192.168.1.1/v1",
        "https://100.64.0.1/v1",
        "https://198.18.0.1/v1",
        "https://224.0.0.1/v1",
        "https://240.0.0.1/v1",
        "https://255.255.255.255/v1",
        "https://[fc00::1]/v1",
        "https://[fe80::1]/v1",
        "https://[fec0::1]/v1",
        "https://[ff02::1]/v1",
        "https://[::ffff:10.0.0.1]/v1",
        "https://[64:ff9b::10.0.0.1]/v1",
        "https://[64:ff9b::7f00:1]/v1",
        "https://[2002:7f00:1::]/v1",
        "https://[2002:a00:1::]/v1",
        "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/v1",
        "https://postgres/v1",
        "https://identity_service/v1",
        "https://printer.local/v1",
        "https://router.lan/v1",
        "https://host.docker.internal/v1",
        # Metadata servers of clouds.
        "https://169.254.169.254/latest/meta-data",
        "https://0xa9fea9fe/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "https://[fd00:ec2::254]/v1",
        "https://100.100.100.200/v1",
        "https://192.0.0.192/v1",
        "https://168.63.129.16/v1",
        "https://metadata.google.internal/v1",
    ],
)
def test_a_private_or_ambiguous_url_is_refused(url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        url_policy.check(url, NO_HOSTS)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_equally_private_inside_of_an_ipv6_address(address: Any) -> None:
    number = int(address)
    wrapped = [f"::ffff:{address}", f"64:ff9b::{address}", f"2002:{number >> 16:x}:{number & 0xFFFF:x}::"]
    assert {url_policy.is_global(each) for each in wrapped} == {url_policy.is_global(str(address))}


@given(st.text(max_size=80) | st.from_regex(r"https?://[\w.\[\]:@%\\-]{1,40}(/.*)?", fullmatch=True))
def test_the_http_client_interprets_an_accepted_url_in_the_same_way(url: str) -> None:
    try:
        endpoint = url_policy.check(url, NO_HOSTS)
    except UrlNotAllowed:
        return
    parsed = httpx2.URL(url)
    assert (parsed.scheme, parsed.host, parsed.port or 443) == endpoint
    assert (parsed.userinfo, parsed.query, parsed.fragment) == (b"", b"", "")


def test_the_setting_is_a_comma_separated_list_of_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "MENO_DATABASE_URL": "postgresql://",
        "MENO_SECRET": "s" * 32,
        "MENO_TLS_DIRECTORY": ".",
        "MENO_PRIVATE_MODEL_HOSTS": "localhost:11434, GPU ,",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = cli.load(ModelSettings)
    assert settings.private_model_hosts == {"localhost:11434", "gpu"}


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Replaces the resolver: each name has one result per call. Returns the list of the resolved names."""

    def replace_resolver(names: dict[str, list[str]]) -> list[str]:
        resolved: list[str] = []

        async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            resolved.append(host)
            if host not in names:
                raise socket.gaierror(socket.EAI_NONAME, "unknown")
            found = names[host].pop(0).split()
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        return resolved

    return replace_resolver


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Runs a server that responds `ok`. Yields its port and the list of the received headers."""
    heads: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()
        await server.wait_closed()


async def get(url: str, *private_hosts: str) -> str:
    transport = PublicAddressTransport(frozenset(private_hosts))
    async with httpx2.AsyncClient(transport=transport, trust_env=False, timeout=60) as client:
        return (await client.get(url)).text


async def test_a_host_with_a_private_address_is_not_connected_to(resolve: Resolve) -> None:
    resolved = resolve({"model.example": ["127.0.0.1", "93.184.216.34 10.0.0.1", "::ffff:127.0.0.1"]})
    async with listening() as (port, heads):
        for _ in range(3):
            with pytest.raises(PrivateAddressError):
                await get(f"http://model.example:{port}/")
    assert (resolved, heads) == (["model.example"] * 3, [])


async def test_the_checked_address_is_used_without_a_second_resolution(
    resolve: Resolve,
) -> None:
    resolved = resolve({"model.example": ["127.0.0.1"]})
    async with listening() as (port, heads):
        assert await get(f"http://model.example:{port}/v1", f"model.example:{port}") == "ok"
    assert resolved == ["model.example"]
    assert f"host: model.example:{port}\r\n".encode() in heads[0].lower()


async def test_the_next_address_is_tried_if_one_does_not_respond(resolve: Resolve) -> None:
    resolve({"model.example": ["127.0.0.2 127.0.0.1"]})
    async with listening() as (port, _):
        assert await get(f"http://model.example:{port}/", f"model.example:{port}") == "ok"


async def test_an_unknown_host_has_its_own_error(resolve: Resolve) -> None:
    resolve({})
    with pytest.raises(NameResolutionError):
        await get("https://model.example/")


@pytest.mark.parametrize("certified_host", ["model.example", "other.example"])
async def test_the_certificate_must_contain_the_host_name(
    resolve: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certified_host: str
) -> None:
    CertificateAuthority().issue(certified_host, tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    resolve({"model.example": ["127.0.0.1"]})
    async with listening(tls) as (port, heads):
        call = get(f"https://model.example:{port}/", f"model.example:{port}")
        if certified_host == "model.example":
            assert await call == "ok"
        else:
            with pytest.raises(httpx2.ConnectError):
                await call
            assert heads == []
