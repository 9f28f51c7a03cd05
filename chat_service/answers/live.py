"""The steps of an answer that this process writes, for those who listen here."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from meno.chat.v1.chat_service_pb2 import AnswerStep


class Live:
    """Holds steps that are stored already.

    Listeners read it at their own pace, each from where it stands: a slow one holds nobody
    up, and costs nothing but its place.
    """

    def __init__(self, begun: AnswerStep) -> None:
        self._steps = [begun]
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def next_sequence(self) -> int:
        """The sequence of the step that comes next."""
        return len(self._steps) + 1

    def append(self, steps: Sequence[AnswerStep]) -> None:
        """Adds steps, which are stored."""
        self._steps += steps
        self._wake()

    def close(self) -> None:
        """Tells the listeners that no more is to be heard here, whether or not the answer has ended."""
        self._closed = True
        self._wake()

    async def follow(self, after_sequence: int) -> AsyncIterator[AnswerStep]:
        """Yields the steps after a sequence until the answer ends or this is closed."""
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
