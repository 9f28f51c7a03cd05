"""Codes that wait to be sent, so that an answer neither waits for them nor tells that there are any."""

import asyncio

import structlog

from identity_service.sign_in.codes.letters import Letter, Sender

_MAX_WAITING = 1000
_AT_ONCE = 4

log = structlog.get_logger()


class Outgoing:
    """A bounded queue in front of a sender."""

    def __init__(self, sender: Sender) -> None:
        self.reaches = sender.reaches
        self._sender = sender
        self._waiting: asyncio.Queue[Letter] = asyncio.Queue(_MAX_WAITING)

    def put(self, letter: Letter) -> None:
        """Has a code sent soon. Where too many wait it is dropped, and its owner requests another."""
        try:
            self._waiting.put_nowait(letter)
        except asyncio.QueueFull:
            log.warning("one_time_code_dropped", kind=letter.kind, waiting=self._waiting.qsize())

    async def run(self) -> None:
        """Sends for ever, a few at a time."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(self._send())

    async def close(self) -> None:
        """Closes the sender."""
        await self._sender.close()

    async def _send(self) -> None:
        while True:
            letter = await self._waiting.get()
            try:
                await self._sender.send(letter)
            except Exception as error:
                log.warning("one_time_code_not_sent", kind=letter.kind, error=type(error).__name__)
