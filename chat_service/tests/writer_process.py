"""A process that writes an endless answer and tells what it shows, until it is killed.

python -m chat_service.tests.writer_process DATABASE_URL USER_ID LEASE_SECONDS
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

from chassis.bell import Bell
from chassis.database import Database
from chassis.models.tutors import Passage, Utterance
from chat_service.answers import steps, store
from chat_service.answers.store import AnswerKey
from chat_service.answers.writer import Desk, Limits, Turn
from chat_service.answers.writing import Writing
from chat_service.chats import store as chats
from chat_service.chats.store import NewChat
from chat_service.messages import store as messages
from chat_service.messages.translation import message
from chat_service.tests.conftest import Library


class EndlessTutor:
    async def answer(
        self, question: str, history: Sequence[Utterance], passages: Sequence[Passage]
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
        chat = await chats.add(transaction, NewChat(user_id, "GENERAL", None, None, ""))
        place = await store.take_turn(transaction, user_id, chat.chat_id)
        assert place is not None
        row = await store.begin(
            transaction, user_id, chat.chat_id, place.sequence, text="Count!", lease=lease
        )
        question = await messages.at(transaction, user_id, chat.chat_id, 1)
        assert question is not None
    key = AnswerKey(user_id, chat.chat_id, row.message_id)
    writing = Writing(
        Desk(database, Bell(database), EndlessTutor(), Library().search, Limits(lease, 60, 60)), most=1
    )
    writing.take_place()
    turn = Turn(key, row.fencing_token, place.sequence, "Count!", None, None, (), "")
    writing.start(turn, steps.begun(message(question), row.message_id))
    live = writing.live(key)
    assert live is not None
    sys.stdout.write(json.dumps(key._asdict()) + "\n")
    async for step in live.follow(0):
        sys.stdout.write(json.dumps([step.sequence, step.text_delta]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
