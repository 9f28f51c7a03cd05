"""The limits of answers in progress: for each user, for each guest, and for all guests together."""

import asyncio
from collections.abc import Sequence

import grpc
import pytest

from chassis.testing import RpcFailure, execute_sql, expect_error, parse_error
from chat_service.tests.conftest import NewServer, Server, User, collect, read
from meno.chat.v1.resources_pb2 import AnswerStep


async def ask_at_once(servers: Sequence[Server], user: User, chats: int) -> list[AnswerStep | RpcFailure]:
    """Asks in several new chats at the same time; returns the first step or the error of each question."""
    created = [await servers[0].chat(user) for _ in range(chats)]

    async def ask(number: int) -> AnswerStep | RpcFailure:
        try:
            [step] = await read(servers[number % len(servers)].ask(user, created[number]), 1)
        except grpc.aio.AioRpcError as error:
            return parse_error(error)
        return step

    return await asyncio.gather(*map(ask, range(chats)))


@pytest.mark.parametrize(("is_guest", "limit"), [(False, 3), (True, 1)])
async def test_concurrent_questions_of_a_user_to_two_replicas_start_as_many_answers_as_permitted(
    new_server: NewServer, *, is_guest: bool, limit: int
) -> None:
    servers = [await new_server(), await new_server()]
    for server in servers:
        server.tutor.script = [asyncio.Event()]
    user = servers[0].guest() if is_guest else servers[0].user()
    results = await ask_at_once(servers, user, 10)
    errors = [result for result in results if isinstance(result, RpcFailure)]
    assert len(errors) == 10 - limit
    assert {(error.code, error.reason) for error in errors} == {("RESOURCE_EXHAUSTED", "TOO_MANY_ANSWERS")}
    assert all(error.metadata == {"limit": str(limit)} for error in errors)
    other = servers[0].user()
    [step] = await read(servers[0].ask(other, await servers[0].chat(other)), 1)
    assert step.HasField("started")


async def test_an_answer_that_ended_or_lost_its_writer_counts_no_longer(
    new_server: NewServer, database_url: str
) -> None:
    server = await new_server(max_answers_per_user=1)
    user = server.user()
    first, second, third = [await server.chat(user) for _ in range(3)]
    server.tutor.script = [asyncio.Event()]
    [step] = await read(server.ask(user, first), 1)
    denied = await expect_error(server.ask(user, second))
    assert denied.reason == "TOO_MANY_ANSWERS"
    await server.stop(user, first, step.started.message_id)
    await read(server.ask(user, second), 1)
    execute_sql(database_url, "UPDATE chat_messages SET lease_expires_at = now() WHERE status = 'STREAMING'")
    await read(server.ask(user, third), 1)


async def test_a_repeated_request_needs_no_further_answer(new_server: NewServer) -> None:
    server = await new_server(max_answers_per_user=1)
    user = server.user()
    chat = await server.chat(user)
    resume = asyncio.Event()
    server.tutor.script = [resume, "It is so."]
    streams = [server.ask(user, chat, request_id=chat.chat_id) for _ in range(5)]
    await asyncio.gather(*(read(stream, 1) for stream in streams))
    resume.set()
    assert {(await collect(stream))[-1].done.text for stream in streams} == {"It is so."}


async def test_guests_and_other_users_do_not_take_each_others_slots(new_server: NewServer) -> None:
    server = await new_server(max_answers=2, max_guest_answers=2)
    server.tutor.script = [asyncio.Event()]
    guests, users = [server.guest() for _ in range(5)], [server.user() for _ in range(5)]
    for group in (guests, users):
        results = [result for user in group for result in await ask_at_once([server], user, 1)]
        errors = [result for result in results if isinstance(result, RpcFailure)]
        assert [(error.code, error.reason) for error in errors] == [
            ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
        ] * 3
        assert not isinstance(results[0], RpcFailure)
