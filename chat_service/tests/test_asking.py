"""Questions and the streams of their answers, over gRPC."""

import asyncio
import uuid

import grpc

from chassis.models.tutors import UNANSWERED, Utterance
from chassis.testing import refusal, refused
from chat_service.answers import rules
from chat_service.tests.conftest import (
    NewServer,
    Person,
    Server,
    chunk,
    collect,
    kinds,
    read,
    reason,
    rpc_error,
    text_of,
)
from meno.chat.v1.chat_service_pb2 import AnswerStep, Chat, GenerationStatus

COMPLETED = GenerationStatus.GENERATION_STATUS_COMPLETED
STREAMING = GenerationStatus.GENERATION_STATUS_STREAMING
FAILED = GenerationStatus.GENERATION_STATUS_FAILED


def an_id() -> str:
    return str(uuid.uuid4())


async def in_class(server: Server) -> tuple[Person, Chat]:
    """A member of a class and their chat about it."""
    class_id = an_id()
    person = server.person(class_id)
    return person, await server.chat(person, class_id)


async def collect_when_there_is_room(server: Server, person: Person, chat: Chat) -> list[AnswerStep]:
    """Asks until a writer's place is free: the last step of an answer is seen a moment before its is."""
    while True:
        try:
            return await collect(server.ask(person, chat, request_id=chat.chat_id))
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise


async def test_a_stream_begins_with_the_question_and_ends_with_the_stored_answer(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    steps = await collect(server.ask(person, chat, "Why is it so?"))
    question, answer = await server.messages(person, chat)
    assert [step.sequence for step in steps] == [*range(1, len(steps) + 1)]
    assert (steps[0].begun.question, steps[0].begun.message_id) == (question, answer.message_id)
    assert steps[-1].done == answer
    assert text_of(steps) == answer.text == "It is so."
    assert (answer.status, answer.grounded, question.text) == (COMPLETED, False, "Why is it so?")


async def test_citations_come_before_the_text_that_uses_them_and_stand_in_the_history(
    server: Server,
) -> None:
    person, chat = await in_class(server)
    server.library.chunks = [chunk("First passage."), chunk("Second. It has two sentences here. End.")]
    server.tutor.script = ["It has two sen", "tences here. [", "2] So [1], [2] and [7]."]
    steps = await collect(server.ask(person, chat))
    answer = (await server.messages(person, chat))[-1]
    assert text_of(steps) == answer.text == "It has two sentences here. [1] So [2], [1] and ."
    assert [step.citation for step in steps if step.HasField("citation")] == [*answer.citations]
    for number in (1, 2):
        told = [
            kinds(steps).index("citation"),
            *[i for i, s in enumerate(steps) if s.citation.number == number],
        ]
        used = next(i for i in range(len(steps)) if f"[{number}]" in text_of(steps[: i + 1]))
        assert told[-1] < used
    assert answer.grounded
    first = answer.citations[0]
    source = server.library.chunks[1]
    assert first.excerpt == "It has two sentences here."
    assert (
        source.text[first.char_start - source.char_start : first.char_end - source.char_start]
        == first.excerpt
    )
    assert (first.chunk_id, first.revision_id, first.page) == (source.chunk_id, source.revision_id, 3)
    assert answer.citations[1].excerpt == "First passage."


async def test_the_search_is_made_in_the_callers_name(server: Server) -> None:
    class_id, content_id = an_id(), an_id()
    person = server.person(class_id)
    chat = await server.chat(person, class_id, content_id)
    await collect(server.ask(person, chat, "Where?"))
    [(request, metadata)] = server.library.searches
    assert (request.class_id, request.content_id, request.query) == (class_id, content_id, "Where?")
    assert dict(metadata)["authorization"] == dict(person.auth["metadata"])["authorization"]


async def test_a_general_chat_searches_nothing(server: Server) -> None:
    person = server.person()
    await collect(server.ask(person, await server.chat(person)))
    assert server.library.searches == []


async def test_without_a_passage_the_tutor_is_not_asked_and_the_answer_says_so(server: Server) -> None:
    person, chat = await in_class(server)
    steps = await collect(server.ask(person, chat))
    assert steps[-1].done.text == UNANSWERED
    assert (steps[-1].done.grounded, len(steps[-1].done.citations)) == (False, 0)
    assert server.tutor.asked == []


async def test_an_answer_that_cites_nothing_is_not_grounded(server: Server) -> None:
    person, chat = await in_class(server)
    server.library.chunks = [chunk("First passage.")]
    steps = await collect(server.ask(person, chat))
    assert (steps[-1].done.text, steps[-1].done.grounded) == ("It is so.", False)


async def test_the_tutor_is_told_what_was_said_without_the_numbers_of_other_passages(
    server: Server,
) -> None:
    person, chat = await in_class(server)
    server.library.chunks = [chunk("First passage.")]
    server.tutor.script = ["It is so [1]."]
    for text in ("Why?", "And then?"):
        await collect(server.ask(person, chat, text))
    question, history, passages = server.tutor.asked[-1]
    assert question == "And then?"
    assert history == [Utterance(True, "Why?"), Utterance(False, "It is so.")]
    assert [(passage.title, passage.page, passage.text) for passage in passages] == [
        ("Reader", 3, "First passage.")
    ]


async def test_who_left_the_class_cannot_ask_and_nothing_is_written(server: Server) -> None:
    person, chat = await in_class(server)
    denied = await refused(server.ask(server.again(person.user_id), chat))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "CLASS_LEFT")
    assert denied.metadata == {"class_id": chat.class_id}
    assert await server.messages(person, chat) == []


async def test_an_answer_fails_where_the_search_finds_that_the_caller_left(server: Server) -> None:
    person, chat = await in_class(server)
    server.library.error = rpc_error(grpc.StatusCode.PERMISSION_DENIED)
    steps = await collect(server.ask(person, chat))
    assert (kinds(steps), reason(steps[-1])) == (["begun", "error"], "CLASS_LEFT")
    assert (await server.messages(person, chat))[-1].status == FAILED


async def test_an_answer_fails_where_the_material_cannot_be_reached(server: Server) -> None:
    person, chat = await in_class(server)
    server.library.error = rpc_error(grpc.StatusCode.UNAVAILABLE)
    steps = await collect(server.ask(person, chat))
    assert (kinds(steps), reason(steps[-1])) == (["begun", "error"], "SERVICE_UNAVAILABLE")


async def test_a_malformed_question_is_refused(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    for text in ("", "  \n", "x" * 10_001, "nul \0"):
        denied = await refused(server.ask(person, chat, text))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_twenty_concurrent_questions_begin_one_answer(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = [asyncio.Event()]
    streams = [server.ask(person, chat, f"Question {number}") for number in range(20)]
    outcomes = await asyncio.gather(*(stream.read() for stream in streams), return_exceptions=True)
    [begun] = [outcome for outcome in outcomes if isinstance(outcome, AnswerStep)]
    denials = [refusal(outcome) for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert len(denials) == 19
    assert {(denial.code, denial.reason) for denial in denials} == {
        ("FAILED_PRECONDITION", "ANSWER_IN_PROGRESS")
    }
    assert {denial.metadata["message_id"] for denial in denials} == {begun.begun.message_id}
    assert [message.sequence for message in await server.messages(person, chat)] == [1, 2]


async def test_refused_questions_leave_no_gap(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = [asyncio.Event()]
    [begun] = await read(server.ask(person, chat), 1)
    assert (await refused(server.ask(person, chat))).reason == "ANSWER_IN_PROGRESS"
    await server.stop(person, chat, begun.begun.message_id)
    server.tutor.script = ["It is so."]
    await collect(server.ask(person, chat))
    assert [message.sequence for message in await server.messages(person, chat)] == [1, 2, 3, 4]


async def test_one_request_id_gives_one_answer_to_twenty_streams_on_two_replicas(
    new_server: NewServer,
) -> None:
    here, there = await new_server(), await new_server()
    person = here.person()
    chat = await here.chat(person)
    going_on = asyncio.Event()
    here.tutor.script = there.tutor.script = ["It is ", going_on, "so, ", "and ", "so."]
    request_id = an_id()
    streams = [(here, there)[number % 2].ask(person, chat, request_id=request_id) for number in range(20)]
    begun = await asyncio.gather(*(stream.read() for stream in streams))
    going_on.set()
    rest = await asyncio.gather(*(collect(stream) for stream in streams))
    seen = [[first, *more] for first, more in zip(begun, rest, strict=True)]
    assert len({b"".join(step.SerializeToString() for step in steps) for steps in seen}) == 1
    assert text_of(seen[0]) == "It is so, and so."
    assert len(here.tutor.asked) + len(there.tutor.asked) == 1
    assert len(await here.messages(person, chat)) == 2
    assert await collect(here.ask(person, chat, request_id=request_id)) == seen[0]


async def test_a_request_id_serves_one_question_only(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    request_id = an_id()
    await collect(server.ask(person, chat, "Why?", request_id))
    denied = await refused(server.ask(person, chat, "How?", request_id))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def test_an_answer_is_written_though_nobody_listens(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    nobody_listens = asyncio.Event()
    server.tutor.script = ["It ", nobody_listens, "is so."]
    stream = server.ask(person, chat)
    [begun] = await read(stream, 1)
    stream.cancel()
    nobody_listens.set()
    steps = await collect(server.resume(person, chat, begun.begun.message_id, after_sequence=1))
    assert (text_of(steps), steps[-1].done.status) == ("It is so.", COMPLETED)


async def test_too_many_answers_at_a_time_are_refused_and_can_be_asked_for_later(
    new_server: NewServer,
) -> None:
    server = await new_server(max_answers=2)
    going_on = asyncio.Event()
    server.tutor.script = [going_on, "It is so."]
    person = server.person()
    chats = [await server.chat(person) for _ in range(3)]
    streams = [server.ask(person, chat, request_id=chat.chat_id) for chat in chats[:2]]
    for stream in streams:
        await stream.read()
    denied = await refused(server.ask(person, chats[2], request_id=chats[2].chat_id))
    assert (denied.code, denied.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    again = server.ask(person, chats[0], request_id=chats[0].chat_id)
    going_on.set()
    assert (await collect(again))[-1].done.text == "It is so."
    for stream in streams:
        await collect(stream)
    steps = await collect_when_there_is_room(server, person, chats[2])
    assert [step.sequence for step in steps] == [*range(1, len(steps) + 1)]


async def test_an_endless_answer_ends_where_answers_end(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = ["on and on "] * rules.LONGEST
    steps = await collect(server.ask(person, chat))
    assert len(steps[-1].done.text) == rules.LONGEST
    assert text_of(steps) == steps[-1].done.text


async def test_a_slow_reader_holds_nobody_up_and_misses_nothing(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = ["€ " * 100] * (rules.LONGEST // 200)
    slow = server.ask(person, chat)
    [begun] = await read(slow, 1)
    quick = await collect(server.resume(person, chat, begun.begun.message_id, after_sequence=1))
    assert quick[-1].done.status == COMPLETED
    assert [begun, *await collect(slow)] == [begun, *quick]


async def test_an_answer_that_is_being_written_shows_what_is_stored(server: Server) -> None:
    person = server.person()
    chat = await server.chat(person)
    server.tutor.script = ["It is ", asyncio.Event(), "so."]
    seen = await read(server.ask(person, chat), 2)
    answer = (await server.messages(person, chat))[-1]
    assert (answer.status, answer.text) == (STREAMING, text_of(seen))
    assert text_of(seen) == "It is "
