"""Entry point of an answer: how one answer is persisted, in the order of the modules.

1. `ask.py` opens one write transaction. It reserves two sequences in the chat and inserts the question
   (COMPLETED), the answer (STREAMING, with a fencing token and a lease) and the step STARTED.
   The idempotency key of the call stores that step, so a repeated request finds the same answer.
2. `pool.py` starts a Writer in this process. The Writer does not depend on the caller's stream.
3. `writer.py` runs two tasks. The producer searches the material, runs the tutor, sanitises its output
   and adds the parts to `buffer.py`. The consumer takes the buffered parts and inserts them as steps
   with one statement. The statement inserts nothing if the answer has ended or has another fencing token.
4. After the insert, the Writer publishes the steps: to `broadcast.py` for readers in this process, and as
   a notification for readers in other processes.
5. The Writer ends the answer in one transaction. It locks the answer's row, joins the text of all
   steps into the message, sets COMPLETED or FAILED, and inserts the last step, DONE or ERROR.
   `commands.stop_answer` does the same for STOPPED. `reaper.py` does it if a lease has expired, because
   the process of the Writer has died.
6. `reader.py` streams the steps after a given sequence: from the broadcast if this process writes the
   answer, otherwise from the database. A reader never receives a step that is not stored.
"""

import asyncio
from contextlib import ExitStack
from datetime import timedelta
from typing import NamedTuple

from chassis import calls, peers
from chassis.activity import ActivityReporter
from chassis.idempotency import Replayed, WriteTransaction
from chassis.quotas import Quota
from chat_service.answers import messages, store
from chat_service.answers.pool import WriterPool
from chat_service.answers.types import AnswerJob, AnswerKey, ReservedSequence, StartedRow
from chat_service.chats.messages import to_message
from chat_service.chats.types import MessageRow
from chat_service.errors import AnswerInProgress, ChatNotFound, NotClassMember, TooManyAnswers
from meno.chat.v1.resources_pb2 import AnswerStep


class _Question(NamedTuple):
    user_id: str
    chat_id: str
    text: str
    is_guest: bool


class AskService:
    """Stores questions and starts the writers of their answers."""

    def __init__(
        self, activity: ActivityReporter, pool: WriterPool, lease: timedelta, max_in_progress: Quota
    ) -> None:
        """`max_in_progress` limits the answers of a user that are being written, in all processes."""
        self._activity = activity
        self._pool = pool
        self._lease = lease
        self._max_in_progress = max_in_progress
        self._tasks: set[asyncio.Task[AnswerKey]] = set()

    async def ask(self, user_id: str, chat_id: str, text: str) -> AnswerKey:
        """Starts an answer and returns its key. A repeated request returns the key of its first answer.

        The work continues if the caller disconnects: an answer that is started must get a writer.

        Raises ChatNotFound, NotClassMember, AnswerInProgress, TooManyAnswers, RequestIdReused, and
        ServiceUnavailable if this process already writes as many answers as it may.
        """
        question = _Question(user_id, chat_id, text, calls.caller().guest)
        task = asyncio.create_task(self._ask(question))
        self._tasks.add(task)
        task.add_done_callback(self._discard)
        return await asyncio.shield(task)

    def _discard(self, task: "asyncio.Task[AnswerKey]") -> None:
        self._tasks.discard(task)
        # Retrieve the exception: if the caller has disconnected, nothing else does, and asyncio would log it.
        if not task.cancelled():
            task.exception()

    async def _ask(self, question: _Question) -> AnswerKey:
        try:
            with ExitStack() as undo:
                async with self._activity.write(question.user_id) as transaction:
                    # Acquire the slot after the idempotency check: a repeated request needs none.
                    self._pool.acquire(is_guest=question.is_guest)
                    undo.callback(self._pool.release, is_guest=question.is_guest)
                    job, started = await self._start(transaction, question)
                    transaction.respond(started.started)
                undo.pop_all()
            self._pool.start(job, started)
            return job.key
        except Replayed as replayed:
            known = AnswerStep.Started.FromString(replayed.response)
            return AnswerKey(question.user_id, question.chat_id, known.message_id)

    async def _start(
        self, transaction: WriteTransaction, question: _Question
    ) -> tuple[AnswerJob, AnswerStep]:
        reserved = await store.reserve_sequence(transaction, question.user_id, question.chat_id)
        if reserved is None:
            raise ChatNotFound(question.chat_id)
        if reserved.class_id and calls.caller().role_in(reserved.class_id) is None:
            raise NotClassMember(reserved.class_id)
        streaming = await store.get_streaming(transaction, question.user_id, question.chat_id)
        if streaming is not None:
            raise AnswerInProgress(streaming)
        limit = self._max_in_progress.of_caller()
        if await store.lock_user_and_count_streaming(transaction, question.user_id) >= limit:
            raise TooManyAnswers(limit)
        row = await store.start(
            transaction,
            question.user_id,
            question.chat_id,
            reserved.sequence,
            text=question.text,
            lease=self._lease,
        )
        started = messages.started_step(to_message(_message_row(question, reserved, row)), row.message_id)
        return _job(question, reserved, row), started


def _message_row(question: _Question, reserved: ReservedSequence, row: StartedRow) -> MessageRow:
    return MessageRow(
        chat_id=question.chat_id,
        message_id=row.question_id,
        sequence=reserved.sequence - 1,
        role="USER",
        text=question.text,
        status="COMPLETED",
        grounded=False,
        created_at=row.created_at,
        updated_at=row.created_at,
        citations=None,
    )


def _job(question: _Question, reserved: ReservedSequence, row: StartedRow) -> AnswerJob:
    return AnswerJob(
        key=AnswerKey(question.user_id, question.chat_id, row.message_id),
        fencing_token=row.fencing_token,
        sequence=reserved.sequence,
        question=question.text,
        class_id=reserved.class_id,
        content_id=reserved.content_id,
        metadata=peers.forwarded()["metadata"],
        request_id=calls.current().request_id,
        is_guest=question.is_guest,
    )
