"""Streams that are cut and taken up again, over gRPC."""

import asyncio
import uuid

import pytest

from chassis.models.tutors import TutorFailed
from chassis.testing import refused
from chat_service.tests.conftest import Line, NewServer, Server, chunk, collect, kinds, read, text_of
from meno.chat.v1.chat_service_pb2 import GenerationStatus

SCRIPT = ["One. ", "Two [2]", ", three [1]", " and [9] four [", "2]."]


async def test_a_finished_answer_is_resumed_after_every_step_on_both_replicas(
    new_server: NewServer,
) -> None:
    here, there = await new_server(), await new_server()
    class_id = str(uuid.uuid4())
    person = here.person(class_id)
    chat = await here.chat(person, class_id)
    here.library.chunks = [chunk("First passage."), chunk("Second passage.")]
    here.tutor.script = SCRIPT
    whole = await collect(here.ask(person, chat))
    message_id = whole[-1].done.message_id
    assert text_of(whole) == whole[-1].done.text == "One. Two [1], three [2] and  four [1]."
    for cut in range(len(whole)):
        for server in (here, there):
            rest = await collect(server.resume(person, chat, message_id, after_sequence=cut))
            assert whole[:cut] + rest == whole


async def test_a_running_answer_is_resumed_at_every_step_on_both_replicas(new_server: NewServer) -> None:
    here, there = await new_server(), await new_server()
    class_id = str(uuid.uuid4())
    person = here.person(class_id)
    chat = await here.chat(person, class_id)
    here.library.chunks = [chunk("First passage."), chunk("Second passage.")]
    # A piece, and how many steps it makes: the first use of a passage is told between two deltas.
    pieces = {"One. ": 1, "Two [2], ": 3, "three [1] ": 3, "and [9] four [2]. ": 1}
    pauses = [asyncio.Event() for _ in pieces]
    here.tutor.script = [line for pair in zip(pauses, pieces, strict=True) for line in pair]
    stream = here.ask(person, chat)
    seen = await read(stream, 1)
    resumed = []
    for pause, count in zip(pauses, pieces.values(), strict=True):
        for server in (here, there):
            taken_up = server.resume(person, chat, seen[0].begun.message_id, after_sequence=len(seen))
            resumed.append(([*seen], asyncio.create_task(collect(taken_up))))
        pause.set()
        seen += await read(stream, count)
    whole = seen + await collect(stream)
    for before, rest in resumed:
        assert before + await rest == whole
    assert kinds(whole)[-1] == "done"
    assert text_of(whole) == whole[-1].done.text


async def test_an_answer_goes_on_though_the_streams_replica_only_reads(new_server: NewServer) -> None:
    here, there = await new_server(), await new_server()
    person = here.person()
    chat = await here.chat(person)
    going_on = asyncio.Event()
    here.tutor.script = ["It is ", going_on, "so."]
    [begun] = await read(here.ask(person, chat), 1)
    elsewhere = there.resume(person, chat, begun.begun.message_id, after_sequence=1)
    first = await read(elsewhere, 1)
    going_on.set()
    steps = first + await collect(elsewhere)
    assert text_of(steps) == "It is so."
    assert steps[-1].done.status == GenerationStatus.GENERATION_STATUS_COMPLETED


@pytest.mark.parametrize("script", [["It is so."], [TutorFailed("down")]])
async def test_resuming_after_the_end_brings_the_end_again(server: Server, script: list[Line]) -> None:
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = script
    whole = await collect(server.ask(person, chat))
    for after in (len(whole), len(whole) + 5):
        again = await collect(server.resume(person, chat, whole[0].begun.message_id, after))
        assert again == whole[-1:]


async def test_resuming_waits_for_the_end_where_more_was_seen_than_there_is(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    going_on = asyncio.Event()
    server.tutor.script = [going_on, "It is so."]
    stream = server.ask(person, chat)
    [begun] = await read(stream, 1)
    ahead = asyncio.create_task(collect(server.resume(person, chat, begun.begun.message_id, 50)))
    going_on.set()
    whole = await collect(stream)
    assert await ahead == whole[-1:]


async def test_ids_are_read_however_they_are_spelled(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    whole = await collect(server.ask(person, chat))
    chat.chat_id = chat.chat_id.upper()
    assert await collect(server.resume(person, chat, whole[-1].done.message_id.upper())) == whole
    again = await collect(server.ask(person, chat))
    assert again[-1].done.chat_id == chat.chat_id.lower()


async def test_only_answers_are_resumed_and_stopped(server: Server) -> None:
    person = server.person()
    chat, other = await server.chat(person), await server.chat(person)
    whole = await collect(server.ask(person, chat))
    question = whole[0].begun.question.message_id
    for of, message_id in ((chat, question), (chat, str(uuid.uuid4())), (other, whole[-1].done.message_id)):
        for attempt in (server.resume(person, of, message_id), server.stop(person, of, message_id)):
            denied = await refused(attempt)
            assert (denied.code, denied.reason) == ("NOT_FOUND", "MESSAGE_NOT_FOUND")
            assert denied.metadata == {"message_id": message_id}
