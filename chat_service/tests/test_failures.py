"""Answers that fail: the model fails, the writer dies, the lease is lost."""

import asyncio
import json
import sys
import uuid
from asyncio.subprocess import PIPE

import psycopg
import pytest

from chassis.database import Database
from chassis.testing import execute_sql
from chat_service.answers import store
from chat_service.answers.types import AnswerKey, NewSteps
from chat_service.tests.conftest import (
    Line,
    NewServer,
    Server,
    collect,
    kinds,
    read,
    reason,
    text_of,
)
from chat_service.tutors.types import TutorFailed
from meno.chat.v1.resources_pb2 import Chat, GenerationStatus

FAILED = GenerationStatus.GENERATION_STATUS_FAILED
EXPIRE_LEASES = "UPDATE chat_messages SET lease_expires_at = now() WHERE status = 'STREAMING'"
# Several renewals fit into a lease, also if a busy machine delays one of them.
LEASE_SECONDS = "1.5"


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ([TutorFailed("down")], ""),
        (["It is ", "so [", TutorFailed("cut")], "It is so ["),
        ([RuntimeError("an internal detail")], ""),
        ([" ", "\u200b"], " "),
    ],
)
async def test_the_text_is_kept_if_the_model_fails(server: Server, script: list[Line], text: str) -> None:
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = script
    steps = await collect(server.ask(user, chat))
    answer = (await server.messages(user, chat))[-1]
    is_internal = isinstance(script[-1], RuntimeError)
    assert reason(steps[-1]) == ("INTERNAL" if is_internal else "MODEL_FAILED")
    assert "internal detail" not in str(steps[-1])
    assert (answer.status, answer.text) == (FAILED, text)
    assert text_of(steps) == text
    assert await collect(server.resume(user, chat, answer.message_id)) == steps
    server.tutor.script = ["It is so."]
    assert (await collect(server.ask(user, chat)))[-1].done.text == "It is so."


async def test_an_answer_that_takes_too_long_fails(new_server: NewServer) -> None:
    server = await new_server(answer_seconds=1)
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = ["It is ", asyncio.Event()]
    steps = await collect(server.ask(user, chat))
    assert (kinds(steps), reason(steps[-1])) == (["started", "text_delta", "error"], "MODEL_FAILED")


@pytest.mark.parametrize("published", [1, 20])
async def test_a_killed_writer_leaves_a_failed_answer_with_all_published_text(
    new_server: NewServer, database_url: str, published: int
) -> None:
    server = await new_server(reaper_interval_seconds=0.1)
    user_id = str(uuid.uuid4())
    command = ("-m", "chat_service.tests.writer_process", database_url, user_id, LEASE_SECONDS)
    writer = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE)
    try:
        assert writer.stdout is not None
        key = json.loads(await writer.stdout.readline())
        seen = [json.loads(await writer.stdout.readline()) for _ in range(published)]
        user, chat = server.sign_in(user_id), Chat(chat_id=key["chat_id"])
        resumed = server.resume(user, chat, key["message_id"])
        await read(resumed, 1)
    finally:
        writer.kill()
        output, _ = await writer.communicate()
    seen += [json.loads(line) for line in output.splitlines() if line.endswith(b"]")]
    rest = await collect(resumed)
    answer = (await server.messages(user, chat))[-1]
    assert reason(rest[-1]) == "ANSWER_INTERRUPTED"
    assert [step.sequence for step in rest] == [*range(2, len(rest) + 2)]
    assert answer.status == FAILED
    assert text_of(rest) == answer.text
    assert answer.text.startswith("".join(text for _, text in seen))


async def test_an_orphan_is_ended_when_a_process_starts(new_server: NewServer, database_url: str) -> None:
    server = await new_server()
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = ["It is ", asyncio.Event()]
    seen = await read(server.ask(user, chat), 2)
    execute_sql(database_url, EXPIRE_LEASES)
    other = await new_server(reaper_interval_seconds=3600)
    rest = await collect(other.resume(user, chat, seen[0].started.message_id, after_sequence=2))
    assert (kinds(rest), reason(rest[0])) == (["error"], "ANSWER_INTERRUPTED")


async def test_a_writer_with_an_expired_lease_writes_nothing_more(
    new_server: NewServer, database_url: str
) -> None:
    server = await new_server()
    user = server.user()
    chat = await server.chat(user)
    resume = asyncio.Event()
    server.tutor.script = ["It is ", resume, "so."]
    stream = server.ask(user, chat)
    seen = await read(stream, 2)
    execute_sql(database_url, EXPIRE_LEASES)
    other = await new_server()
    await collect(other.resume(user, chat, seen[0].started.message_id))
    resume.set()
    rest = await collect(stream)
    assert (kinds(rest), reason(rest[-1])) == (["error"], "ANSWER_INTERRUPTED")
    answer = (await server.messages(user, chat))[-1]
    assert (answer.status, answer.text) == (FAILED, "It is ")


async def test_a_waiting_writer_stops_when_its_lease_is_lost(new_server: NewServer) -> None:
    here, there = await new_server(lease_seconds=1.5), await new_server()
    user = here.user()
    chat = await here.chat(user)
    here.tutor.script = ["It is ", asyncio.Event()]
    stream = here.ask(user, chat)
    seen = await read(stream, 2)
    answer = await there.stop(user, chat, seen[0].started.message_id)
    assert [step.done for step in await collect(stream)] == [answer]


async def test_a_lease_is_renewed_while_the_writer_lives(new_server: NewServer) -> None:
    server = await new_server(lease_seconds=1, reaper_interval_seconds=0.05, answer_seconds=2)
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = ["It is ", asyncio.Event()]
    # Without renewal, the reaper would end the answer with ANSWER_INTERRUPTED before its time limit.
    assert reason((await collect(server.ask(user, chat)))[-1]) == "MODEL_FAILED"


async def test_an_answer_survives_lost_database_connections(server: Server, database_url: str) -> None:
    user = server.user()
    chat = await server.chat(user)
    pauses = [asyncio.Event(), asyncio.Event()]
    server.tutor.script = ["It ", pauses[0], "is ", pauses[1], "so."]
    stream = server.ask(user, chat)
    seen = await read(stream, 2)
    for pause in pauses:
        execute_sql(
            database_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        pause.set()
        seen += await read(stream, 1)
    whole = seen + await collect(stream)
    assert text_of(whole) == whole[-1].done.text == "It is so."


async def test_a_revoked_token_ends_the_stream_and_the_answer_continues(
    server: Server, database_url: str
) -> None:
    user = server.user()
    chat = await server.chat(user)
    resume = asyncio.Event()
    server.tutor.script = ["It is ", resume, "so."]
    stream = server.ask(user, chat)
    seen = await read(stream, 2)
    server.revoke_tokens(user)
    last = await stream.read()
    assert (last.WhichOneof("step"), reason(last)) == ("error", "TOKEN_REVOKED")
    resume.set()
    again = server.sign_in(user.user_id, rights_version=1)
    assert text_of(await collect(server.resume(again, chat, seen[0].started.message_id))) == "It is so."


async def test_a_server_that_shuts_down_ends_its_answers(new_server: NewServer, database_url: str) -> None:
    server = await new_server()
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = ["It is ", asyncio.Event()]
    stream = server.ask(user, chat)
    await read(stream, 2)
    await server.close()
    [[status, text]] = execute_sql(
        database_url, "SELECT status, text FROM chat_messages WHERE role = 'ASSISTANT'"
    )
    assert (status, text) == ("FAILED", "It is ")
    other = await new_server()
    [message_id] = [message.message_id for message in await other.messages(user, chat)][1:]
    assert reason((await collect(other.resume(user, chat, message_id)))[-1]) == "ANSWER_INTERRUPTED"


async def test_a_committed_write_that_is_reported_as_lost_leaves_no_gap(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = server.user()
    chat = await server.chat(user)
    writes = 0
    write = store.write

    async def lossy(database: Database, key: AnswerKey, fencing_token: str, new: NewSteps) -> bool:
        nonlocal writes
        writes += 1
        is_writer = await write(database, key, fencing_token, new)
        if writes == 2:
            raise psycopg.OperationalError("the connection is lost after the commit")
        return is_writer

    monkeypatch.setattr(store, "write", lossy)
    resume = asyncio.Event()
    server.tutor.script = ["It is ", resume, "so."]
    stream = server.ask(user, chat)
    steps = await read(stream, 2)
    resume.set()
    steps += await collect(stream)
    assert [step.sequence for step in steps] == [1, 2, 3, 4]
    assert kinds(steps) == ["started", "text_delta", "text_delta", "error"]
    assert await collect(server.resume(user, chat, steps[0].started.message_id)) == steps
