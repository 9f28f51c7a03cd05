"""The answer methods of ChatService. `chats.servicer` has the other methods."""

from collections.abc import AsyncIterator

from chassis.calls import Context
from chassis.database import Database
from chat_service.answers import commands
from chat_service.answers.ask import AskService
from chat_service.answers.pool import WriterPool
from chat_service.answers.reader import AnswerReader
from chat_service.answers.types import AnswerKey
from meno.chat.v1.chat_service_pb2 import AskRequest, ResumeAnswerRequest, StopAnswerRequest
from meno.chat.v1.resources_pb2 import AnswerStep, Message


class AnswerServicer:
    """Serves questions and the streams of their answers."""

    def __init__(self, database: Database, ask: AskService, reader: AnswerReader, pool: WriterPool) -> None:
        self._database = database
        self._ask = ask
        self._reader = reader
        self._pool = pool

    async def Ask(self, request: AskRequest, context: Context) -> AsyncIterator[AnswerStep]:
        key = await self._ask.ask(request.user_id, request.chat_id, request.text)
        async for step in self._reader.follow(key, 0):
            yield step

    async def ResumeAnswer(self, request: ResumeAnswerRequest, context: Context) -> AsyncIterator[AnswerStep]:
        async for step in self._reader.follow(_key(request), request.after_sequence):
            yield step

    async def StopAnswer(self, request: StopAnswerRequest, context: Context) -> Message:
        return await commands.stop_answer(self._database, self._pool, _key(request))


def _key(request: ResumeAnswerRequest | StopAnswerRequest) -> AnswerKey:
    return AnswerKey(request.user_id, request.chat_id, request.message_id)
