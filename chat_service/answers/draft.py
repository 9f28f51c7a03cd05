"""What a tutor has said and nobody has stored yet."""

import asyncio
from collections.abc import Iterable

from chat_service.answers.rules import Part, joined


class Draft:
    """Collects parts while the ones before them are being stored."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._closed = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def add(self, parts: Iterable[Part]) -> None:
        """Adds parts at the end."""
        self._parts += parts
        self._changed.set()

    def close(self, error: Exception | None = None) -> None:
        """Says that nothing more comes, and why where it ends before its time. The first word counts."""
        if not self._closed:
            self._closed = True
            self._error = error
        self._changed.set()

    async def take(self) -> list[Part]:
        """Returns all that waits, and waits for it where there is nothing; empty at the end.

        Raises the error that the draft was closed with, after everything was taken.
        """
        while not self._parts and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        if not self._parts and self._error is not None:
            raise self._error
        parts, self._parts = joined(self._parts), []
        return parts
