"""ResumeAnswer."""

import asyncio
import uuid

import pytest

from chassis.testing import expect_error
from chat_service.tests.conftest import Line, NewServer, Server, chunk, collect, kinds, read, text_of
from chat_service.tutors.types import TutorFailed
from meno.chat.v1.resources_pb2 import GenerationStatus

SCRIPT = ["One. ", "Two [2]", ", three [1]", " and [9] four [", "2]."]


async def test_a_finished_answer_is_resumed_after_every_step_on_both_replicas(
    new_server: NewServer,
) -> None:
    here, there = await new_server(), await new_server()
    class_id = str(uuid.uuid4())
    user = here.user(class_id)
    chat = await here.chat(user, class_id)
    here.content.chunks = [chunk("First passage."), chunk("Second passage.")]
    here.tutor.script = SCRIPT
    whole = await collect(here.ask(user, chat))
    message_id = whole[-1].done.message_id
    assert text_of(whole) == whole[-1].done.text == "One. Two [1], three [2] and [ 9 ] four [1]."
    for cut in range(len(whole)):
        for server in (here, there):
            rest = await collect(server.resume(user, chat, message_id, after_sequence=cut))
            assert whole[:cut] + rest == whole


async def test_a_running_answer_is_resumed_at_every_step_on_both_replicas(new_server: NewServer) -> None:
    here, there = await new_server(), await new_server()
    class_id = str(uuid.uuid4())
    user = here.user(class_id)
    chat = await here.chat(user, class_id)
    here.content.chunks = [chunk("First passage."), chunk("Second passage.")]
    # A piece and its number of steps: the first use of a passage adds a citation step between two text steps.
    pieces = {"One. ": 1, "Two [2], ": 3, "three [1] ": 3, "and [9] four [2]. ": 1}
    pauses = [asyncio.Event() for _ in pieces]
    here.tutor.script = [line for pair in zip(pauses, pieces, strict=True) for line in pair]
    stream = here.ask(user, chat)
    seen = await read(stream, 1)
    resumed = []
    for pause, count in zip(pauses, pieces.values(), strict=True):
        for server in (here, there):
            resumed_stream = server.resume(user, chat, seen[0].started.message_id, after_sequence=len(seen))
            resumed.append(([*seen], asyncio.create_task(collect(resumed_stream))))
        pause.set()
        seen += await read(stream, count)
    whole = seen + await collect(stream)
    for before, rest in resumed:
        assert before + await rest == whole
    assert kinds(whole)[-1] == "done"
    assert text_of(whole) == whole[-1].done.text


async def test_a_stream_on_another_replica_receives_the_steps_as_they_are_written(
    new_server: NewServer,
) -> None:
    here, there = await new_server(), await new_server()
    user = here.user()
    chat = await here.chat(user)
    resume = asyncio.Event()
    here.tutor.script = ["It is ", resume, "so."]
    [started] = await read(here.ask(user, chat), 1)
    elsewhere = there.resume(user, chat, started.started.message_id, after_sequence=1)
    first = await read(elsewhere, 1)
    resume.set()
    steps = first + await collect(elsewhere)
    assert text_of(steps) == "It is so."
    assert steps[-1].done.status == GenerationStatus.GENERATION_STATUS_COMPLETED


@pytest.mark.parametrize("script", [["It is so."], [TutorFailed("down")]])
async def test_resuming_after_the_last_step_returns_the_last_step_again(
    server: Server, script: list[Line]
) -> None:
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = script
    whole = await collect(server.ask(user, chat))
    for after in (len(whole), len(whole) + 5):
        again = await collect(server.resume(user, chat, whole[0].started.message_id, after))
        assert again == whole[-1:]


async def test_resuming_after_a_future_sequence_waits_for_the_last_step(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    resume = asyncio.Event()
    server.tutor.script = [resume, "It is so."]
    stream = server.ask(user, chat)
    [started] = await read(stream, 1)
    ahead = asyncio.create_task(collect(server.resume(user, chat, started.started.message_id, 50)))
    resume.set()
    whole = await collect(stream)
    assert await ahead == whole[-1:]


async def test_ids_are_accepted_in_upper_case(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    whole = await collect(server.ask(user, chat))
    chat.chat_id = chat.chat_id.upper()
    assert await collect(server.resume(user, chat, whole[-1].done.message_id.upper())) == whole
    again = await collect(server.ask(user, chat))
    assert again[-1].done.chat_id == chat.chat_id.lower()


async def test_only_answers_are_resumed_and_stopped(server: Server) -> None:
    user = server.user()
    chat, other = await server.chat(user), await server.chat(user)
    whole = await collect(server.ask(user, chat))
    question = whole[0].started.question.message_id
    for of, message_id in ((chat, question), (chat, str(uuid.uuid4())), (other, whole[-1].done.message_id)):
        for attempt in (server.resume(user, of, message_id), server.stop(user, of, message_id)):
            denied = await expect_error(attempt)
            assert (denied.code, denied.reason) == ("NOT_FOUND", "MESSAGE_NOT_FOUND")
            assert denied.metadata == {"message_id": message_id}
