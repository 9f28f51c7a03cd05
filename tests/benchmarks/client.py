"""A client that keeps so many calls in flight, for machines without a load generator."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc
import uvloop


@dataclass(frozen=True)
class Work:
    """What one process does."""

    url: str
    headers: dict[str, str]
    body: bytes | None
    """As gRPC frames it; None is a GET over HTTP/1.1."""
    answer: int
    """Bytes of the body of a good answer."""
    calls: int
    at_once: int


def run(work: Work) -> tuple[float, float]:
    """Makes the calls; returns when they began and ended, on the clock that all processes share."""
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

        return await _repeat(work, [call] * work.at_once)


async def _http(work: Work) -> tuple[float, float]:
    """Reads answers whole: header and body arrive in one piece, or in a few."""
    address = urlsplit(work.url)
    lines = [f"GET {address.path} HTTP/1.1", f"host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in work.headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode()
    callers, writers = [], []
    for _ in range(work.at_once):
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
    """Lets every caller call, and again as soon as it is answered."""
    left = work.calls

    async def go_on(call: Callable[[], Awaitable[None]]) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    await callers[0]()
    began = time.monotonic()
    await asyncio.gather(*map(go_on, callers))
    return began, time.monotonic()


async def _channel(url: str) -> grpc.aio.Channel:
    address = urlsplit(url)
    if address.scheme == "http":
        return grpc.aio.insecure_channel(address.netloc)
    assert address.hostname is not None
    assert address.port is not None
    # It is our own server on the loopback: its certificate is taken as it comes.
    certificate = await asyncio.to_thread(ssl.get_server_certificate, (address.hostname, address.port))
    credentials = grpc.ssl_channel_credentials(certificate.encode())
    options = (("grpc.ssl_target_name_override", "session_service"),)
    return grpc.aio.secure_channel(address.netloc, credentials, options)


def _check(work: Work, answered: int) -> None:
    if answered != work.answer:
        raise RuntimeError(f"{work.url} answered with {answered} bytes in place of {work.answer}")
