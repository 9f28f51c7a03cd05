"""The answers that this process is writing, of which there are only so many at a time."""

import asyncio

from chassis.errors import ServiceUnavailable
from chat_service.answers import steps
from chat_service.answers.live import Live
from chat_service.answers.store import AnswerKey
from chat_service.answers.writer import Desk, Turn, Writer
from meno.chat.v1.chat_service_pb2 import AnswerStep


class Writing:
    """Starts writers and keeps them until they have ended."""

    def __init__(self, desk: Desk, most: int) -> None:
        self._desk = desk
        self._room = most
        self._writers: dict[AnswerKey, Writer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take_place(self) -> None:
        """Reserves a place for a writer. Raises ServiceUnavailable where all are taken."""
        if self._room == 0:
            raise ServiceUnavailable("Too many answers are being written now. Try again.")
        self._room -= 1

    def give_back_place(self) -> None:
        """Gives back a place that no writer was started in."""
        self._room += 1

    def start(self, turn: Turn, begun: AnswerStep) -> None:
        """Starts writing, in a place that was taken before."""
        writer = self._writers[turn.key] = Writer(self._desk, turn, begun)
        task = asyncio.create_task(writer.run())
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            del self._writers[turn.key]
            self.give_back_place()

        task.add_done_callback(ended)

    def live(self, key: AnswerKey) -> Live | None:
        """The steps of an answer that is written here; None where it is written elsewhere or has ended."""
        writer = self._writers.get(key)
        return writer.live if writer else None

    def ended_by_others(self, key: AnswerKey) -> None:
        """Call it after the commit of a transaction that ended an answer which is not the writer's own."""
        if writer := self._writers.get(key):
            writer.lose()
        self._desk.bell.ring(steps.ring(key))

    async def close(self, seconds: float) -> None:
        """Gives the writers time to come to their end, then interrupts them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
