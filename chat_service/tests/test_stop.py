"""StopAnswer."""

import asyncio
import uuid

import pytest

from chassis.testing import execute_sql
from chat_service.tests.conftest import NewServer, Server, collect, kinds, read, text_of
from meno.chat.v1.resources_pb2 import GenerationStatus

COMPLETED = GenerationStatus.GENERATION_STATUS_COMPLETED
STOPPED = GenerationStatus.GENERATION_STATUS_STOPPED


@pytest.mark.parametrize("replica", [0, 1], ids=["by its writer", "by another replica"])
async def test_an_answer_stopped_at_any_step_keeps_its_text(
    new_server: NewServer, database_url: str, replica: int
) -> None:
    servers = [await new_server(), await new_server()]
    user = servers[0].user()
    pieces = ["One. ", "Two. ", "Three. "]
    for count in range(len(pieces) + 1):
        chat = await servers[0].chat(user)
        stopped = asyncio.Event()
        pauses = [asyncio.Event() for _ in range(count)]
        lines = [line for pair in zip(pauses, pieces, strict=False) for line in pair]
        servers[0].tutor.script = [*lines, stopped, *pieces[count:]]
        stream = servers[0].ask(user, chat)
        seen = await read(stream, 1)
        for pause in pauses:
            pause.set()
            seen += await read(stream, 1)
        message_id = seen[0].started.message_id
        answer = await servers[replica].stop(user, chat, message_id)
        stopped.set()
        assert (answer.status, answer.text) == (STOPPED, "".join(pieces[:count]))
        rest = await collect(stream)
        assert (kinds(rest), rest[-1].done) == (["done"], answer)
        assert text_of(seen) == answer.text
        assert (await collect(servers[0].ask(user, chat)))[-1].done.status == COMPLETED
        assert (await servers[0].messages(user, chat))[1] == answer
    [[steps_after_the_end]] = execute_sql(
        database_url,
        "SELECT count(*) FROM answer_steps AS step JOIN answer_steps AS last USING (message_id)"
        " WHERE last.kind IN ('DONE', 'ERROR') AND step.sequence > last.sequence",
    )
    assert steps_after_the_end == 0


async def test_stopping_an_answer_that_has_ended_changes_nothing(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    whole = await collect(server.ask(user, chat))
    answer = whole[-1].done
    assert await server.stop(user, chat, answer.message_id) == answer
    assert (await server.messages(user, chat))[-1] == answer
    assert await collect(server.resume(user, chat, answer.message_id)) == whole


async def test_a_repeated_stop_returns_the_same_answer(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = ["It ", asyncio.Event()]
    seen = await read(server.ask(user, chat), 2)
    message_id, request_id = seen[0].started.message_id, str(uuid.uuid4())
    answers = await asyncio.gather(
        *(server.stop(user, chat, message_id, request_id) for _ in range(20)),
        *(server.stop(user, chat, message_id) for _ in range(5)),
    )
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert answers[0].status == STOPPED


async def test_a_stop_concurrent_with_completion_leaves_one_last_step_and_one_text(
    new_server: NewServer,
) -> None:
    here, there = await new_server(), await new_server()
    user = here.user()
    here.tutor.script = [f"Sentence {number}. " for number in range(40)]
    ends = set()
    for round_ in range(24):
        chat = await here.chat(user)
        stream = here.ask(user, chat)
        seen = await read(stream, 1 + round_ % 4)
        stopping = (here, there)[round_ % 2].stop(user, chat, seen[0].started.message_id)
        answer, rest = await asyncio.gather(stopping, collect(stream))
        whole = seen + rest
        assert [step.sequence for step in whole] == [*range(1, len(whole) + 1)]
        assert kinds(whole).index("done") == len(whole) - 1
        assert whole[-1].done == answer == (await here.messages(user, chat))[-1]
        assert text_of(whole) == answer.text
        ends.add(answer.status)
    assert ends <= {COMPLETED, STOPPED}
