"""Use cases of answers that exist. `ask.py` starts an answer."""

from chassis.database import Database
from chassis.idempotency import write
from chat_service.answers import failures, store
from chat_service.answers.pool import WriterPool
from chat_service.answers.types import AnswerKey
from chat_service.chats import message_store
from chat_service.chats.messages import to_message
from meno.chat.v1.resources_pb2 import Message


async def stop_answer(database: Database, pool: WriterPool, key: AnswerKey) -> Message:
    """Stops a STREAMING answer and keeps its text. An answer that has ended does not change.

    Raises ChatNotFound or MessageNotFound.
    """
    async with write(database) as transaction:
        if await store.lock(transaction, key):
            await store.end(transaction, key, "STOPPED")
        row = await message_store.get(transaction, *key)
        if row is None or row.role != "ASSISTANT":
            raise await failures.not_found(transaction, key)
        answer = transaction.respond(to_message(row))
    pool.cancel(key)
    return answer
