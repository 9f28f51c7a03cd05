"""Sends the steps of an answer that this process writes to the readers in this process."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from meno.chat.v1.resources_pb2 import AnswerStep


class AnswerBroadcast:
    """Keeps the stored steps of one answer and sends them to any number of readers.

    Each reader has its own position, so a slow reader delays no other reader and needs no queue.
    """

    def __init__(self, started: AnswerStep) -> None:
        self._steps = [started]
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def next_sequence(self) -> int:
        """The sequence of the next step."""
        return len(self._steps) + 1

    def append(self, steps: Sequence[AnswerStep]) -> None:
        """Appends steps. The database must already contain them."""
        self._steps += steps
        self._wake()

    def close(self) -> None:
        """Ends each reader after it has read all steps. The answer itself may not have ended."""
        self._closed = True
        self._wake()

    async def follow(self, after_sequence: int) -> AsyncIterator[AnswerStep]:
        """Yields the steps after a sequence until the broadcast is closed."""
        while True:
            changed = self._changed
            while after_sequence < len(self._steps):
                after_sequence += 1
                yield self._steps[after_sequence - 1]
            if self._closed:
                return
            await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
