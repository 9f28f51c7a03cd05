"""A process that writes an endless answer and prints the published steps until it is killed.

python -m chat_service.tests.writer_process DATABASE_URL USER_ID LEASE_SECONDS
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

from chassis.database import Database
from chassis.notifications import Notifier
from chat_service.answers import messages, store
from chat_service.answers.pool import WriterPool
from chat_service.answers.types import AnswerJob, AnswerKey
from chat_service.answers.writer import Limits, WriterDependencies
from chat_service.chats import message_store
from chat_service.chats import store as chats
from chat_service.chats.messages import to_message
from chat_service.chats.types import NewChat
from chat_service.tests.conftest import FakeContent
from chat_service.tutors.types import ChatTurn, Passage


class EndlessTutor:
    async def answer(
        self, question: str, history: Sequence[ChatTurn], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        number = 0
        while True:
            number += 1
            yield f"{number} "
            await asyncio.sleep(0.001)


async def main(url: str, user_id: str, lease_seconds: str) -> None:
    database, lease = Database(url), timedelta(seconds=float(lease_seconds))
    await database.open()
    async with database.transaction() as transaction:
        chat = await chats.add(transaction, NewChat(user_id, "GENERAL", None, None, ""), quota=1)
        reserved = await store.reserve_sequence(transaction, user_id, chat.chat_id)
        assert reserved is not None
        row = await store.start(
            transaction, user_id, chat.chat_id, reserved.sequence, text="Count!", lease=lease
        )
        question = await message_store.get_by_sequence(transaction, user_id, chat.chat_id, 1)
        assert question is not None
    key = AnswerKey(user_id, chat.chat_id, row.message_id)
    pool = WriterPool(
        WriterDependencies(
            database, Notifier(database), EndlessTutor(), FakeContent().search, Limits(lease, 60, 60)
        ),
        max_writers=1,
        max_guest_writers=1,
    )
    pool.acquire(is_guest=False)
    job = AnswerJob(key, row.fencing_token, reserved.sequence, "Count!", None, None, (), "", is_guest=False)
    pool.start(job, messages.started_step(to_message(question), row.message_id))
    broadcast = pool.get_broadcast(key)
    assert broadcast is not None
    sys.stdout.write(json.dumps(key._asdict()) + "\n")
    async for step in broadcast.follow(0):
        sys.stdout.write(json.dumps([step.sequence, step.text_delta]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
