"""The steps of an answer as a stream, wherever it is written and whether or not it has ended."""

from collections.abc import AsyncIterator

from google.rpc.status_pb2 import Status

from chassis.bell import Bell
from chassis.database import Database, Executor
from chat_service.answers import steps, store
from chat_service.answers.store import AnswerKey, StepRow
from chat_service.answers.writing import Writing
from chat_service.chats import store as chats
from chat_service.errors import ChatNotFound, MessageNotFound
from chat_service.messages import store as messages
from chat_service.messages.translation import message
from meno.chat.v1.chat_service_pb2 import AnswerStep, Citation


class Streams:
    """Follows answers: from memory where they are written here, else from the database."""

    def __init__(self, database: Database, bell: Bell, writing: Writing) -> None:
        self._database = database
        self._bell = bell
        self._writing = writing

    async def follow(self, key: AnswerKey, after_sequence: int) -> AsyncIterator[AnswerStep]:
        """Yields the steps after a sequence, to the answer's end; where that was seen, it comes again.

        Raises ChatNotFound or MessageNotFound.
        """
        live = self._writing.live(key)
        if live is not None:
            async for step in live.follow(after_sequence):
                after_sequence = step.sequence
                yield step
                if steps.ends(step):
                    return
        async for step in self._follow_stored(key, after_sequence):
            yield step

    async def _follow_stored(self, key: AnswerKey, after_sequence: int) -> AsyncIterator[AnswerStep]:
        with self._bell.listen(steps.ring(key)) as rung:
            while True:
                rows = await store.steps_after(self._database, key, after_sequence)
                if not rows:
                    raise await missing(self._database, key)
                for row in rows:
                    if row.sequence is None:
                        break
                    after_sequence = row.sequence
                    step = await self._step(key, row)
                    yield step
                    if steps.ends(step):
                        return
                if rows[-1].sequence is None:
                    if rows[-1].status == "STREAMING":
                        await rung.wait()
                    else:
                        after_sequence = await store.last_step(self._database, key) - 1

    async def _step(self, key: AnswerKey, row: StepRow) -> AnswerStep:
        """A step as it travels: word for word what its writer showed."""
        assert row.sequence is not None
        if row.text is not None:
            return steps.of_part(row.sequence, row.text)
        if row.citation is not None:
            return steps.of_part(row.sequence, Citation(**row.citation))
        if row.error is not None:
            return AnswerStep(sequence=row.sequence, error=Status.FromString(row.error))
        if row.kind == "DONE":
            answer = await messages.get(self._database, *key)
            if answer is None:
                raise await missing(self._database, key)
            return steps.last(row.sequence, message(answer), None)
        question = await messages.at(self._database, key.user_id, key.chat_id, row.place - 1)
        if question is None:
            raise await missing(self._database, key)
        return steps.begun(message(question), key.message_id)


async def missing(executor: Executor, key: AnswerKey) -> ChatNotFound | MessageNotFound:
    """Why there is no such answer."""
    if await chats.exists(executor, key.user_id, key.chat_id):
        return MessageNotFound(key.message_id)
    return ChatNotFound(key.chat_id)
