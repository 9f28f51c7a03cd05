"""The writers of this process. Their number is limited, for guests and for all other users separately.

Anyone can create guests, so guests must not take the slots of the other users.
"""

import asyncio

from chassis.errors import ServiceUnavailable
from chat_service.answers.broadcast import AnswerBroadcast
from chat_service.answers.types import AnswerJob, AnswerKey
from chat_service.answers.writer import Writer, WriterDependencies
from meno.chat.v1.resources_pb2 import AnswerStep


class WriterPool:
    """Starts writers and keeps them until they end."""

    def __init__(self, dependencies: WriterDependencies, *, max_writers: int, max_guest_writers: int) -> None:
        self._dependencies = dependencies
        self._free_slots = {False: max_writers, True: max_guest_writers}
        """The number of free slots, by whether they are for guests."""
        self._writers: dict[AnswerKey, Writer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def acquire(self, *, is_guest: bool) -> None:
        """Reserves a slot for a writer. Raises ServiceUnavailable if no slot is free."""
        if self._free_slots[is_guest] == 0:
            raise ServiceUnavailable("The tutor is writing too many answers at the moment. Try again.")
        self._free_slots[is_guest] -= 1

    def release(self, *, is_guest: bool) -> None:
        """Returns a slot that was acquired and not used."""
        self._free_slots[is_guest] += 1

    def start(self, job: AnswerJob, started: AnswerStep) -> None:
        """Starts a writer in an acquired slot. The slot is released when the writer ends."""
        writer = self._writers[job.key] = Writer(self._dependencies, job, started)
        task = asyncio.create_task(writer.run())
        self._tasks.add(task)

        def discard(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            del self._writers[job.key]
            self.release(is_guest=job.is_guest)

        task.add_done_callback(discard)

    def get_broadcast(self, key: AnswerKey) -> AnswerBroadcast | None:
        """Returns the broadcast of an answer, or None if this process does not write it."""
        writer = self._writers.get(key)
        return writer.broadcast if writer else None

    def cancel(self, key: AnswerKey) -> None:
        """Cancels the writer of an answer and notifies the readers.

        Call it after the commit of a transaction that ended the answer of another writer.
        """
        if writer := self._writers.get(key):
            writer.cancel()
        self._dependencies.notifier.notify(key.notification_key)

    async def close(self, seconds: float) -> None:
        """Waits up to `seconds` for the writers to finish, then interrupts the remaining ones."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
