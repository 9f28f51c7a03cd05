"""Reads the steps of any answer as a stream: running or ended, written by this process or another."""

from collections.abc import AsyncIterator

from google.rpc.status_pb2 import Status

from chassis.database import Database
from chassis.notifications import Notifier
from chat_service.answers import failures, messages, store
from chat_service.answers.pool import WriterPool
from chat_service.answers.types import AnswerKey, StepRow
from chat_service.chats import message_store
from chat_service.chats.messages import to_message
from meno.chat.v1.resources_pb2 import AnswerStep, Citation


class AnswerReader:
    """Reads answers: from memory if this process writes them, otherwise from the database."""

    def __init__(self, database: Database, notifier: Notifier, pool: WriterPool) -> None:
        self._database = database
        self._notifier = notifier
        self._pool = pool

    async def follow(self, key: AnswerKey, after_sequence: int) -> AsyncIterator[AnswerStep]:
        """Yields the steps after a sequence, up to the last one. Repeats the last step if the caller has it already.

        Raises ChatNotFound or MessageNotFound.
        """
        broadcast = self._pool.get_broadcast(key)
        if broadcast is not None:
            async for step in broadcast.follow(after_sequence):
                after_sequence = step.sequence
                yield step
                if messages.is_last(step):
                    return
        # Continue in the database: another process may have ended the answer.
        async for step in self._follow_stored(key, after_sequence):
            yield step

    async def _follow_stored(self, key: AnswerKey, after_sequence: int) -> AsyncIterator[AnswerStep]:
        with self._notifier.subscribe(key.notification_key) as subscription:
            while True:
                rows = await store.list_steps_after(self._database, key, after_sequence)
                if not rows:
                    raise await failures.not_found(self._database, key)
                for row in rows:
                    if row.sequence is None:
                        break
                    after_sequence = row.sequence
                    step = await self._to_step(key, row, row.sequence)
                    yield step
                    if messages.is_last(step):
                        return
                if rows[-1].sequence is None:
                    if rows[-1].status == "STREAMING":
                        await subscription.wait()
                    else:
                        # The caller has already received the last step: send it again.
                        after_sequence = await store.get_last_sequence(self._database, key) - 1

    async def _to_step(self, key: AnswerKey, row: StepRow, sequence: int) -> AnswerStep:
        """Returns exactly the step that the writer published."""
        if row.text is not None:
            return messages.step_from_part(sequence, row.text)
        if row.citation is not None:
            return messages.step_from_part(sequence, Citation(**row.citation))
        if row.error is not None:
            return AnswerStep(sequence=sequence, error=Status.FromString(row.error))
        if row.kind == "DONE":
            answer = await message_store.get(self._database, *key)
            if answer is None:
                raise await failures.not_found(self._database, key)
            return messages.last_step(sequence, to_message(answer), None)
        question = await message_store.get_by_sequence(
            self._database, key.user_id, key.chat_id, row.answer_sequence - 1
        )
        if question is None:
            raise await failures.not_found(self._database, key)
        return messages.started_step(to_message(question), key.message_id)
