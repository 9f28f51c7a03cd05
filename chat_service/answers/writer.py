"""Writes one answer to its end, independently of its readers.

Runs two tasks: a producer reads and sanitises tutor output, a consumer persists it in batches.
Readers only receive persisted parts.
"""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import NamedTuple

import psycopg
from google.rpc.status_pb2 import Status

from chassis.database import Database
from chassis.notifications import Notifier
from chassis.telemetry import get_logger
from chat_service.answers import failures, messages, rules, store
from chat_service.answers.broadcast import AnswerBroadcast
from chat_service.answers.buffer import PartBuffer
from chat_service.answers.rules import CitationTracker, Part
from chat_service.answers.types import AnswerJob
from chat_service.chats import message_store
from chat_service.chats.messages import to_message
from chat_service.content import Search
from chat_service.errors import AnswerInterrupted
from chat_service.tutors.types import NOT_IN_MATERIAL, ChatTurn, Passage, Tutor, TutorFailed
from meno.chat.v1.resources_pb2 import AnswerStep
from meno.content.v1.knowledge_service_pb2 import SearchRequest
from meno.content.v1.resources_pb2 import Chunk

MAX_PASSAGES = 8

log = get_logger()


class Limits(NamedTuple):
    """Time limits of a writer."""

    lease: timedelta
    """A writer that has not renewed its lease for this long counts as dead."""
    answer_seconds: float
    search_seconds: float


class LeaseLost(Exception):
    """The answer was ended elsewhere: it was stopped, or the reaper took this writer for dead."""


class WriterDependencies(NamedTuple):
    """The objects that all writers of a process share."""

    database: Database
    notifier: Notifier
    tutor: Tutor
    search: Search
    limits: Limits


class Writer:
    """Writes one answer."""

    def __init__(self, dependencies: WriterDependencies, job: AnswerJob, started: AnswerStep) -> None:
        self.broadcast = AnswerBroadcast(started)
        self._dependencies = dependencies
        self._job = job
        self._buffer = PartBuffer()

    def cancel(self) -> None:
        """Stops the writer, because the answer was ended elsewhere."""
        self._buffer.close(LeaseLost())

    async def run(self) -> None:
        """Writes the answer and ends it, also after a failure."""
        try:
            await self._write()
            await self._end("COMPLETED")
        except LeaseLost:
            log.info("answer_ended_elsewhere", message_id=self._job.key.message_id)
        except asyncio.CancelledError:
            await self._fail(AnswerInterrupted().status())
            raise
        except Exception as error:
            await self._fail(failures.to_status(error, self._job.class_id, self._job.request_id))
        finally:
            self.broadcast.close()

    async def _write(self) -> None:
        """Consumes the buffer until the producer closes it. Raises the producer's error, or LeaseLost."""
        helpers = [asyncio.create_task(self._produce()), asyncio.create_task(self._renew_lease())]
        try:
            async with asyncio.timeout(self._dependencies.limits.answer_seconds):
                while parts := await self._buffer.take():
                    await self._store(parts)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _produce(self) -> None:
        """Fills the buffer with the parts of the answer and closes it."""
        try:
            await self._run()
            self._buffer.close()
        except Exception as error:
            self._buffer.close(error)

    async def _run(self) -> None:
        job = self._job
        chat = (job.key.user_id, job.key.chat_id, job.sequence - 1)
        chunks, recent = await asyncio.gather(
            self._search(),
            message_store.list_recent(self._dependencies.database, *chat, rules.HISTORY_MESSAGES),
        )
        if job.class_id and not chunks:
            self._buffer.add([NOT_IN_MATERIAL])
            return
        await self._consume_tutor(
            CitationTracker(chunks), rules.to_history(recent), rules.to_passages(chunks)
        )

    async def _search(self) -> list[Chunk]:
        job = self._job
        if job.class_id is None:
            return []
        request = SearchRequest(
            class_id=job.class_id, query=job.question, content_id=job.content_id or "", top_k=MAX_PASSAGES
        )
        response = await self._dependencies.search(
            request, timeout=self._dependencies.limits.search_seconds, metadata=job.metadata
        )
        return [*response.chunks]

    async def _consume_tutor(
        self, citations: CitationTracker, history: list[ChatTurn], passages: list[Passage]
    ) -> None:
        """Sanitises the tutor's output. Raises TutorFailed, also if no text is left."""
        remaining = rules.MAX_ANSWER_CHARACTERS
        pieces = self._dependencies.tutor.answer(self._job.question, history, passages)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    self._buffer.add(citations.feed(piece[:remaining]))
                    remaining -= len(piece)
                    if remaining <= 0:
                        break
                    # Yield to the consumer task, even if the tutor never waits.
                    await asyncio.sleep(0)
        finally:
            self._buffer.add(citations.finish())
        if not citations.has_text:
            raise TutorFailed("the tutor returned no text")

    async def _renew_lease(self) -> None:
        lease = self._dependencies.limits.lease
        while True:
            # Two renewals may fail before the lease expires.
            await asyncio.sleep(lease.total_seconds() / 3)
            try:
                renewed = await store.renew(
                    self._dependencies.database, self._job.key, self._job.fencing_token, lease
                )
            except psycopg.Error as error:
                log.warning("lease_not_renewed", error=repr(error))
                continue
            if not renewed:
                self.cancel()

    async def _store(self, parts: list[Part]) -> None:
        """Inserts parts as the next steps, then publishes them. Raises LeaseLost."""
        job = self._job
        steps = [
            messages.step_from_part(sequence, part)
            for sequence, part in enumerate(parts, self.broadcast.next_sequence)
        ]
        rows = messages.to_rows(steps)
        if not await store.write(self._dependencies.database, job.key, job.fencing_token, rows):
            raise LeaseLost
        self._publish(steps)

    async def _fail(self, error: Status) -> None:
        try:
            await self._end("FAILED", error)
        except Exception as again:
            # The reaper ends the answer when the lease expires.
            log.warning("answer_not_ended", message_id=self._job.key.message_id, error=repr(again))

    async def _end(self, status: str, error: Status | None = None) -> None:
        """Ends the answer and publishes the last step. Does nothing if the answer was ended elsewhere."""
        key = self._job.key
        async with self._dependencies.database.transaction() as transaction:
            if not await store.lock_fenced(transaction, key, self._job.fencing_token):
                return
            body = error.SerializeToString() if error is not None else None
            sequence = await store.end(transaction, key, status, body)
            row = await message_store.get(transaction, *key)
        # The chat may have been deleted in the meantime. Then no reader can receive the step.
        if row is not None:
            self._publish([messages.last_step(sequence, to_message(row), error)])

    def _publish(self, steps: list[AnswerStep]) -> None:
        """Sends stored steps to the readers in this process and notifies the other processes.

        If an earlier insert was committed and its response was lost, the broadcast lacks those steps.
        Then it receives no further step, and its readers continue in the database, which has all steps.
        """
        if steps[0].sequence == self.broadcast.next_sequence:
            self.broadcast.append(steps)
        self._dependencies.notifier.notify(self._job.key.notification_key)
