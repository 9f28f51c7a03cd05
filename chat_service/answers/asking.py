"""Begins an answer: one transaction for question, answer and first step, then a writer."""

import asyncio
from contextlib import ExitStack
from datetime import timedelta
from typing import NamedTuple

from chassis import calls, peers
from chassis.idempotency import Replayed, WriteTransaction
from chat_service.activity import Activity
from chat_service.answers import steps, store
from chat_service.answers.store import AnswerKey, BegunRow, TurnRow
from chat_service.answers.writer import Turn
from chat_service.answers.writing import Writing
from chat_service.errors import AnswerInProgress, ChatNotFound, ClassLeft
from chat_service.messages.store import MessageRow
from chat_service.messages.translation import message
from meno.chat.v1.chat_service_pb2 import AnswerStep


class _Question(NamedTuple):
    user_id: str
    chat_id: str
    text: str


class Asking:
    """Takes questions."""

    def __init__(self, activity: Activity, writing: Writing, lease: timedelta) -> None:
        self._activity = activity
        self._writing = writing
        self._lease = lease
        self._tasks: set[asyncio.Task[AnswerKey]] = set()

    async def ask(self, user_id: str, chat_id: str, text: str) -> AnswerKey:
        """Begins an answer, or finds the one that a repeated request has begun.

        A caller who hangs up meanwhile is answered all the same: what is begun gets its writer.
        """
        task = asyncio.create_task(self._ask(_Question(user_id, chat_id, text)))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Task[AnswerKey]") -> None:
        self._tasks.discard(task)
        # Nobody else asks for it when the caller has hung up.
        if not task.cancelled():
            task.exception()

    async def _ask(self, question: _Question) -> AnswerKey:
        try:
            with ExitStack() as undo:
                async with self._activity.write(question.user_id) as transaction:
                    # Only now: a repetition needs no place, for its answer has one or is written.
                    self._writing.take_place()
                    undo.callback(self._writing.give_back_place)
                    turn, begun = await self._begin(transaction, question)
                    transaction.answer(begun.begun)
                undo.pop_all()
            self._writing.start(turn, begun)
            return turn.key
        except Replayed as replayed:
            known = AnswerStep.Begun.FromString(replayed.answer)
            return AnswerKey(question.user_id, question.chat_id, known.message_id)

    async def _begin(self, transaction: WriteTransaction, question: _Question) -> tuple[Turn, AnswerStep]:
        place = await store.take_turn(transaction, question.user_id, question.chat_id)
        if place is None:
            raise ChatNotFound(question.chat_id)
        if place.class_id and place.class_id not in calls.caller().classes:
            raise ClassLeft(place.class_id)
        running = await store.running(transaction, question.user_id, question.chat_id)
        if running is not None:
            raise AnswerInProgress(running)
        row = await store.begin(
            transaction,
            question.user_id,
            question.chat_id,
            place.sequence,
            text=question.text,
            lease=self._lease,
        )
        begun = steps.begun(message(_question(question, place, row)), row.message_id)
        return _turn(question, place, row), begun


def _question(question: _Question, place: TurnRow, row: BegunRow) -> MessageRow:
    return MessageRow(
        chat_id=question.chat_id,
        message_id=row.question_id,
        sequence=place.sequence - 1,
        role="USER",
        text=question.text,
        status="COMPLETED",
        grounded=False,
        created_at=row.created_at,
        updated_at=row.created_at,
        citations=None,
    )


def _turn(question: _Question, place: TurnRow, row: BegunRow) -> Turn:
    return Turn(
        key=AnswerKey(question.user_id, question.chat_id, row.message_id),
        fencing_token=row.fencing_token,
        sequence=place.sequence,
        question=question.text,
        class_id=place.class_id,
        content_id=place.content_id,
        metadata=peers.forwarded()["metadata"],
        request_id=calls.current().request_id,
    )
