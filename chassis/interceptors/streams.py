"""Sends the messages of a stream, and shows clients and proxies that a quiet stream is alive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.message import Message

from chassis.calls import Context
from chassis.contracts import Method

HEADERS_DELAY_SECONDS = 1.0
"""A stream without a message gets its headers after this time. An error until then has its own HTTP status.

Servicers refuse a stream after one or two statements, which take milliseconds.
"""
KEEP_ALIVE_SECONDS = 15.0
"""The interval of `keep_alive` in a quiet stream. Proxies usually cut a stream that is quiet for 60 seconds."""


class StreamSender:
    """Sends the messages of one stream, one at a time."""

    def __init__(self, method: Method, context: Context) -> None:
        self._keep_alive = method.keep_alive
        self._context = context
        self._lock = asyncio.Lock()
        self._is_quiet = True
        self.has_begun = False
        """Whether headers or a message have been sent."""

    @asynccontextmanager
    async def show_life(self) -> AsyncIterator[None]:
        """Sends the headers of a quiet stream during the body, and its `keep_alive` if its contract has one."""
        showing = asyncio.create_task(self._show_life())
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    async def send(self, message: Message | None) -> None:
        """Sends a message; None stands for only the headers.

        If the stream is cancelled meanwhile, the cancellation waits until the message is sent. gRPC sends one
        message at a time: if the first were given up, neither the error message nor the status could be sent,
        and the client would wait forever.
        """
        sending = asyncio.create_task(self._write(message))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait({sending})
            if not sending.cancelled():
                # A failure is that of a client who has gone. asyncio would log it if nobody asked.
                sending.exception()
            raise

    async def _write(self, message: Message | None) -> None:
        async with self._lock:
            needs_headers, self.has_begun, self._is_quiet = not self.has_begun, True, False
            if message is not None:
                await self._context.write(message)
            elif needs_headers:
                await self._context.send_initial_metadata(())

    async def _show_life(self) -> None:
        await asyncio.sleep(HEADERS_DELAY_SECONDS)
        await self.send(None)
        while self._keep_alive:
            self._is_quiet = True
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            if self._is_quiet:
                await self.send(self._keep_alive)
