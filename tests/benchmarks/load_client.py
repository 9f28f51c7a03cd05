"""A client that keeps a number of calls in flight, for machines without h2load."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc
import uvloop
from cryptography import x509


@dataclass(frozen=True)
class Work:
    """The calls of one process."""

    url: str
    headers: dict[str, str]
    body: bytes | None
    """The framed gRPC message, or None for a GET over HTTP/1.1."""
    response_bytes: int
    """The size of the body of a correct response."""
    calls: int
    in_flight: int


def run(work: Work) -> tuple[float, float]:
    """Makes the calls. Returns their start and end on the monotonic clock, which all processes share.

    Raises RuntimeError if a response is not correct.
    """
    return uvloop.run(_grpc(work) if work.body is not None else _http(work))


async def _grpc(work: Work) -> tuple[float, float]:
    assert work.body is not None
    address = urlsplit(work.url)
    metadata = tuple((name, value) for name, value in work.headers.items() if name == "authorization")
    message = work.body[5:]
    async with await _channel(work.url) as channel:
        rpc: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(address.path)

        async def call() -> None:
            _check(work, 5 + len(await rpc(message, metadata=metadata)))

        return await _repeat(work, [call] * work.in_flight)


async def _http(work: Work) -> tuple[float, float]:
    """Makes the calls over HTTP/1.1 with one connection per call in flight."""
    address = urlsplit(work.url)
    lines = [f"GET {address.path} HTTP/1.1", f"host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in work.headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode()
    callers, writers = [], []
    for _ in range(work.in_flight):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writers.append(writer)
        callers.append(_http_caller(work, request, reader, writer))
    span = await _repeat(work, callers)
    for writer in writers:
        writer.close()
    return span


def _http_caller(
    work: Work, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Callable[[], Awaitable[None]]:
    async def call() -> None:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        _check(work, len(await reader.readexactly(length)))

    return call


async def _repeat(work: Work, callers: list[Callable[[], Awaitable[None]]]) -> tuple[float, float]:
    """Repeats each caller until all calls are made. The first call warms up and is not timed."""
    remaining = work.calls

    async def repeat(call: Callable[[], Awaitable[None]]) -> None:
        nonlocal remaining
        while remaining > 0:
            remaining -= 1
            await call()

    await callers[0]()
    started = time.monotonic()
    await asyncio.gather(*map(repeat, callers))
    return started, time.monotonic()


async def _channel(url: str) -> grpc.aio.Channel:
    address = urlsplit(url)
    if address.scheme == "http":
        return grpc.aio.insecure_channel(address.netloc)
    assert address.hostname is not None
    assert address.port is not None
    # The server runs on the loopback interface, so its certificate and its name are trusted.
    certificate = await asyncio.to_thread(ssl.get_server_certificate, (address.hostname, address.port))
    credentials = grpc.ssl_channel_credentials(certificate.encode())
    options = (("grpc.ssl_target_name_override", _server_name(certificate)),)
    return grpc.aio.secure_channel(address.netloc, credentials, options)


def _server_name(certificate: str) -> str:
    """Returns the first DNS name in a certificate."""
    extensions = x509.load_pem_x509_certificate(certificate.encode()).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)[0]


def _check(work: Work, received: int) -> None:
    if received != work.response_bytes:
        raise RuntimeError(f"{work.url} returned {received} bytes instead of {work.response_bytes}")
