"""Delivers codes in the background.

A response neither waits for the delivery nor reveals whether a code is sent.
"""

import asyncio

from chassis.telemetry import get_logger
from identity_service.sign_in.codes.types import CodeMessage, CodeSender

_MAX_QUEUED = 1000
_CONCURRENCY = 4

log = get_logger()


class DeliveryQueue:
    """A bounded queue in front of a sender."""

    def __init__(self, sender: CodeSender) -> None:
        self.reaches = sender.reaches
        self._sender = sender
        self._queue: asyncio.Queue[CodeMessage] = asyncio.Queue(_MAX_QUEUED)

    def enqueue(self, message: CodeMessage) -> None:
        """Enqueues a code. If the queue is full, the code is dropped and the user must request another."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("one_time_code_dropped", kind=message.kind, queued=self._queue.qsize())

    async def run(self) -> None:
        """Sends the queued codes, several at the same time. Never returns."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CONCURRENCY):
                tasks.create_task(self._send_all())

    async def close(self) -> None:
        """Closes the sender."""
        await self._sender.close()

    async def _send_all(self) -> None:
        while True:
            message = await self._queue.get()
            try:
                await self._sender.send(message)
            except Exception as error:
                log.warning("one_time_code_not_sent", kind=message.kind, error=type(error).__name__)
