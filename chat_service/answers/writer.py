"""Writes one answer to its end, whether or not anybody listens.

Two hands work on it: one takes what the tutor says and screens it, the other stores it,
as much as has come together meanwhile. Only what is stored is shown.
"""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import NamedTuple

import psycopg
import structlog
from google.rpc.status_pb2 import Status

from chassis.bell import Bell
from chassis.database import Database
from chassis.models.tutors import UNANSWERED, Passage, Tutor, TutorFailed, Utterance
from chat_service.answers import rules, steps, store
from chat_service.answers.draft import Draft
from chat_service.answers.failures import failure
from chat_service.answers.live import Live
from chat_service.answers.rules import Citing, Part
from chat_service.answers.store import AnswerKey
from chat_service.content import Metadata, Search
from chat_service.errors import AnswerInterrupted
from chat_service.messages import store as messages
from chat_service.messages.translation import message
from meno.chat.v1.chat_service_pb2 import AnswerStep
from meno.content.v1.knowledge_service_pb2 import SearchRequest
from meno.content.v1.material_service_pb2 import Chunk

PASSAGES = 8

log = structlog.get_logger()


class Turn(NamedTuple):
    """What is asked, by whom, and where the answer goes."""

    key: AnswerKey
    fencing_token: str
    sequence: int
    """The answer's place in its chat."""
    question: str
    class_id: str | None
    """None where no material is drawn on."""
    content_id: str | None
    metadata: Metadata
    """The caller's token, for content_service."""
    request_id: str


class Limits(NamedTuple):
    """How long things may take."""

    lease: timedelta
    """Time without a sign of life after which a writer counts as dead."""
    answer_seconds: float
    search_seconds: float


class LeaseLost(Exception):
    """Somebody else has ended the answer: it was stopped, or this writer was taken for dead."""


class Desk(NamedTuple):
    """What every writer of a process works with."""

    database: Database
    bell: Bell
    tutor: Tutor
    search: Search
    limits: Limits


class Writer:
    """Writes one answer."""

    def __init__(self, desk: Desk, turn: Turn, begun: AnswerStep) -> None:
        self.live = Live(begun)
        self._desk = desk
        self._turn = turn
        self._draft = Draft()

    def lose(self) -> None:
        """Makes it stop: somebody else has ended the answer."""
        self._draft.close(LeaseLost())

    async def run(self) -> None:
        """Writes, and ends the answer however that goes."""
        try:
            await self._write()
            await self._end("COMPLETED")
        except LeaseLost:
            log.info("answer_ended_elsewhere", message_id=self._turn.key.message_id)
        except asyncio.CancelledError:
            await self._fail(AnswerInterrupted().status())
            raise
        except Exception as error:
            await self._fail(failure(error, self._turn.class_id, self._turn.request_id))
        finally:
            self.live.close()

    async def _write(self) -> None:
        helpers = [asyncio.create_task(self._listen()), asyncio.create_task(self._keep_lease())]
        try:
            async with asyncio.timeout(self._desk.limits.answer_seconds):
                while parts := await self._draft.take():
                    await self._store(parts)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _listen(self) -> None:
        """Puts what the tutor says into the draft."""
        try:
            await self._compose()
            self._draft.close()
        except Exception as error:
            self._draft.close(error)

    async def _compose(self) -> None:
        turn = self._turn
        of_chat = (turn.key.user_id, turn.key.chat_id, turn.sequence - 1)
        chunks, said = await asyncio.gather(
            self._found(), messages.last_said(self._desk.database, *of_chat, rules.REMEMBERED)
        )
        if turn.class_id and not chunks:
            self._draft.add([UNANSWERED])
            return
        await self._answer(Citing(chunks), rules.history(said), rules.passages(chunks))

    async def _answer(self, citing: Citing, history: list[Utterance], passages: list[Passage]) -> None:
        """Has the tutor answer. Raises TutorFailed, also where nothing is left of what it says."""
        room = rules.LONGEST
        pieces = self._desk.tutor.answer(self._turn.question, history, passages)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    self._draft.add(citing.feed(piece[:room]))
                    room -= len(piece)
                    if room <= 0:
                        break
                    # Lets the other hand begin, however fast the tutor speaks.
                    await asyncio.sleep(0)
        finally:
            self._draft.add(citing.finish())
        if not citing.spoke:
            raise TutorFailed("the tutor said nothing")

    async def _found(self) -> list[Chunk]:
        turn = self._turn
        if turn.class_id is None:
            return []
        request = SearchRequest(
            class_id=turn.class_id, query=turn.question, content_id=turn.content_id or "", limit=PASSAGES
        )
        found = await self._desk.search(
            request, timeout=self._desk.limits.search_seconds, metadata=turn.metadata
        )
        return [*found.chunks]

    async def _keep_lease(self) -> None:
        lease = self._desk.limits.lease
        while True:
            await asyncio.sleep(lease.total_seconds() / 3)
            try:
                kept = await store.renew(self._desk.database, self._turn.key, self._turn.fencing_token, lease)
            except psycopg.Error as error:
                log.warning("lease_not_renewed", error=repr(error))
                continue
            if not kept:
                self.lose()

    async def _store(self, parts: list[Part]) -> None:
        """Stores parts as the next steps, then shows them. Raises LeaseLost."""
        desk, turn = self._desk, self._turn
        shown = [
            steps.of_part(sequence, part) for sequence, part in enumerate(parts, self.live.next_sequence)
        ]
        if not await store.write(desk.database, turn.key, turn.fencing_token, steps.to_store(shown)):
            raise LeaseLost
        self._show(shown)

    async def _fail(self, error: Status) -> None:
        try:
            await self._end("FAILED", error)
        except Exception as again:
            # The sweep ends it when the lease is over.
            log.warning("answer_not_ended", message_id=self._turn.key.message_id, error=repr(again))

    async def _end(self, status: str, error: Status | None = None) -> None:
        """Ends the answer, unless somebody else has."""
        desk, key = self._desk, self._turn.key
        async with desk.database.transaction() as transaction:
            if not await store.lock_fenced(transaction, key, self._turn.fencing_token):
                return
            body = error.SerializeToString() if error is not None else None
            sequence = await store.end(transaction, key, status, body)
            row = await messages.get(transaction, *key)
        # A chat that was deleted meanwhile has nobody to tell.
        if row is not None:
            self._show([steps.last(sequence, message(row), error)])

    def _show(self, shown: list[AnswerStep]) -> None:
        """Shows steps here and elsewhere.

        Where some before them are stored that were never shown, for their write was taken for
        lost, listeners read on in the database, where nothing is missing.
        """
        if shown[0].sequence == self.live.next_sequence:
            self.live.append(shown)
        self._desk.bell.ring(steps.ring(self._turn.key))
