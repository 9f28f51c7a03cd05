"""Answers that break off: the model fails, the writer dies, the lease is lost."""

import asyncio
import json
import sys
import uuid
from asyncio.subprocess import PIPE

import psycopg
import pytest

from chassis.database import Database
from chassis.models.tutors import TutorFailed
from chat_service.answers import store
from chat_service.answers.store import AnswerKey, Written
from chat_service.tests.conftest import (
    Line,
    NewServer,
    Server,
    collect,
    kinds,
    read,
    reason,
    stored,
    text_of,
)
from meno.chat.v1.chat_service_pb2 import Chat, GenerationStatus

FAILED = GenerationStatus.GENERATION_STATUS_FAILED


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ([TutorFailed("down")], ""),
        (["It is ", "so [", TutorFailed("cut")], "It is so ["),
        ([RuntimeError("a fault of ours")], ""),
        ([" ", "<b></b>"], " "),
    ],
)
async def test_what_was_written_is_kept_where_the_model_fails(
    server: Server, script: list[Line], text: str
) -> None:
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = script
    steps = await collect(server.ask(person, chat))
    answer = (await server.messages(person, chat))[-1]
    ours = isinstance(script[-1], RuntimeError)
    assert reason(steps[-1]) == ("INTERNAL" if ours else "MODEL_FAILED")
    assert "fault of ours" not in str(steps[-1])
    assert (answer.status, answer.text) == (FAILED, text)
    assert text_of(steps) == text
    assert await collect(server.resume(person, chat, answer.message_id)) == steps
    server.tutor.script = ["It is so."]
    assert (await collect(server.ask(person, chat)))[-1].done.text == "It is so."


async def test_a_model_that_hangs_is_given_up(new_server: NewServer) -> None:
    server = await new_server(answer_seconds=0.2)
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = ["It is ", asyncio.Event()]
    steps = await collect(server.ask(person, chat))
    assert (kinds(steps), reason(steps[-1])) == (["begun", "text_delta", "error"], "MODEL_FAILED")


@pytest.mark.parametrize("shown", [1, 20])
async def test_a_killed_writer_leaves_what_it_showed_and_a_failed_answer(
    new_server: NewServer, database_url: str, shown: int
) -> None:
    server = await new_server(sweep_seconds=0.1)
    user_id = str(uuid.uuid4())
    command = ("-m", "chat_service.tests.writer_process", database_url, user_id, "0.5")
    writer = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE)
    assert writer.stdout is not None
    key = json.loads(await writer.stdout.readline())
    seen = [json.loads(await writer.stdout.readline()) for _ in range(shown)]
    person, chat = server.again(user_id), Chat(chat_id=key["chat_id"])
    resumed = server.resume(person, chat, key["message_id"])
    await read(resumed, 1)
    writer.kill()
    seen += [json.loads(line) for line in (await writer.stdout.read()).splitlines() if line.endswith(b"]")]
    await writer.wait()
    rest = await collect(resumed)
    answer = (await server.messages(person, chat))[-1]
    assert reason(rest[-1]) == "ANSWER_INTERRUPTED"
    assert [step.sequence for step in rest] == [*range(2, len(rest) + 2)]
    assert answer.status == FAILED
    assert text_of(rest) == answer.text
    assert answer.text.startswith("".join(text for _, text in seen))


async def test_an_orphan_of_before_the_start_is_ended_at_the_start(
    new_server: NewServer, database_url: str
) -> None:
    server = await new_server()
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = ["It is ", asyncio.Event()]
    seen = await read(server.ask(person, chat), 2)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE chat_messages SET lease_expires_at = now() WHERE status = 'STREAMING'")
    other = await new_server(sweep_seconds=3600)
    rest = await collect(other.resume(person, chat, seen[0].begun.message_id, after_sequence=2))
    assert (kinds(rest), reason(rest[0])) == (["error"], "ANSWER_INTERRUPTED")


async def test_a_writer_that_was_taken_for_dead_writes_nothing_more(
    new_server: NewServer, database_url: str
) -> None:
    server = await new_server()
    person = server.person()
    chat = await server.chat(person)
    going_on = asyncio.Event()
    server.tutor.script = ["It is ", going_on, "so."]
    stream = server.ask(person, chat)
    seen = await read(stream, 2)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE chat_messages SET lease_expires_at = now() WHERE status = 'STREAMING'")
    other = await new_server()
    await collect(other.resume(person, chat, seen[0].begun.message_id))
    going_on.set()
    rest = await collect(stream)
    assert (kinds(rest), reason(rest[-1])) == (["error"], "ANSWER_INTERRUPTED")
    answer = (await server.messages(person, chat))[-1]
    assert (answer.status, answer.text) == (FAILED, "It is ")


async def test_a_hanging_writer_notices_that_its_lease_is_lost(new_server: NewServer) -> None:
    here, there = await new_server(lease_seconds=0.3), await new_server()
    person = here.person()
    chat = await here.chat(person)
    here.tutor.script = ["It is ", asyncio.Event()]
    stream = here.ask(person, chat)
    seen = await read(stream, 2)
    answer = await there.stop(person, chat, seen[0].begun.message_id)
    assert [step.done for step in await collect(stream)] == [answer]


async def test_a_lease_is_renewed_for_as_long_as_the_writer_lives(new_server: NewServer) -> None:
    server = await new_server(lease_seconds=0.3, sweep_seconds=0.05, answer_seconds=1)
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = ["It is ", asyncio.Event()]
    # Were the lease not renewed, the sweep would end the answer long before its time is over.
    assert reason((await collect(server.ask(person, chat)))[-1]) == "MODEL_FAILED"


async def test_connections_that_are_lost_break_no_answer_off(server: Server, database_url: str) -> None:
    person = server.person()
    chat = await server.chat(person)
    pauses = [asyncio.Event(), asyncio.Event()]
    server.tutor.script = ["It ", pauses[0], "is ", pauses[1], "so."]
    stream = server.ask(person, chat)
    seen = await read(stream, 2)
    for pause in pauses:
        stored(
            database_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        pause.set()
        seen += await read(stream, 1)
    whole = seen + await collect(stream)
    assert text_of(whole) == whole[-1].done.text == "It is so."


async def test_a_stream_ends_with_the_token_and_the_answer_goes_on(server: Server, database_url: str) -> None:
    person = server.person()
    chat = await server.chat(person)
    going_on = asyncio.Event()
    server.tutor.script = ["It is ", going_on, "so."]
    stream = server.ask(person, chat)
    seen = await read(stream, 2)
    server.lose_rights(person)
    last = await stream.read()
    assert (last.WhichOneof("step"), reason(last)) == ("error", "RIGHTS_CHANGED")
    going_on.set()
    again = server.again(person.user_id, rights_version=1)
    assert text_of(await collect(server.resume(again, chat, seen[0].begun.message_id))) == "It is so."


async def test_a_server_that_closes_ends_its_answers(new_server: NewServer, database_url: str) -> None:
    server = await new_server()
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = ["It is ", asyncio.Event()]
    stream = server.ask(person, chat)
    await read(stream, 2)
    await server.close()
    [[status, text]] = stored(database_url, "SELECT status, text FROM chat_messages WHERE role = 'ASSISTANT'")
    assert (status, text) == ("FAILED", "It is ")
    other = await new_server()
    [message_id] = [message.message_id for message in await other.messages(person, chat)][1:]
    assert reason((await collect(other.resume(person, chat, message_id)))[-1]) == "ANSWER_INTERRUPTED"


async def test_a_write_that_is_taken_for_lost_leaves_no_gap(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = server.person()
    chat = await server.chat(person)
    writes = 0
    write = store.write

    async def lossy(database: Database, key: AnswerKey, fencing_token: str, written: Written) -> bool:
        nonlocal writes
        writes += 1
        is_the_writers = await write(database, key, fencing_token, written)
        if writes == 2:
            raise psycopg.OperationalError("the connection is lost after the commit")
        return is_the_writers

    monkeypatch.setattr(store, "write", lossy)
    going_on = asyncio.Event()
    server.tutor.script = ["It is ", going_on, "so."]
    stream = server.ask(person, chat)
    steps = await read(stream, 2)
    going_on.set()
    steps += await collect(stream)
    assert [step.sequence for step in steps] == [1, 2, 3, 4]
    assert kinds(steps) == ["begun", "text_delta", "text_delta", "error"]
    assert await collect(server.resume(person, chat, steps[0].begun.message_id)) == steps
