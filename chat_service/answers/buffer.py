"""Parts that the tutor has produced and the database does not contain yet."""

import asyncio
from collections.abc import Iterable

from chat_service.answers.rules import Part, join_text


class PartBuffer:
    """Collects the parts of one answer while the consumer stores earlier parts."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._closed = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def add(self, parts: Iterable[Part]) -> None:
        """Appends parts."""
        self._parts += parts
        self._changed.set()

    def close(self, error: Exception | None = None) -> None:
        """Marks the end of the answer, with the error that ended it early. Only the first call has an effect."""
        if not self._closed:
            self._closed = True
            self._error = error
        self._changed.set()

    async def take(self) -> list[Part]:
        """Returns all buffered parts; waits if there are none. Returns an empty list at the end.

        Raises the error that the buffer was closed with, after all parts have been taken.
        """
        while not self._parts and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        if not self._parts and self._error is not None:
            raise self._error
        parts, self._parts = join_text(self._parts), []
        return parts
