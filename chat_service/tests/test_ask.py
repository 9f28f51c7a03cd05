"""Ask and the streams of answers."""

import asyncio
import uuid
from typing import Any

import grpc

from chassis.testing import expect_error, parse_error
from chat_service.answers import rules
from chat_service.tests.conftest import (
    NewServer,
    Server,
    User,
    chunk,
    collect,
    kinds,
    read,
    reason,
    rpc_error,
    text_of,
)
from chat_service.tutors.types import NOT_IN_MATERIAL, ChatTurn
from meno.chat.v1.resources_pb2 import AnswerStep, Chat, GenerationStatus

COMPLETED = GenerationStatus.GENERATION_STATUS_COMPLETED
STREAMING = GenerationStatus.GENERATION_STATUS_STREAMING
FAILED = GenerationStatus.GENERATION_STATUS_FAILED


def new_id() -> str:
    return str(uuid.uuid4())


async def in_class(server: Server) -> tuple[User, Chat]:
    """Returns a member of a class and a chat about the class."""
    class_id = new_id()
    user = server.user(class_id)
    return user, await server.chat(user, class_id)


async def ask_until_slot_is_free(server: Server, user: User, chat: Chat) -> list[AnswerStep]:
    """Repeats Ask until a writer slot is free: a slot is released shortly after the last step is sent."""
    while True:
        try:
            return await collect(server.ask(user, chat, request_id=chat.chat_id))
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise


async def test_a_stream_begins_with_the_question_and_ends_with_the_stored_answer(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    steps = await collect(server.ask(user, chat, "Why is it so?"))
    question, answer = await server.messages(user, chat)
    assert [step.sequence for step in steps] == [*range(1, len(steps) + 1)]
    assert (steps[0].started.question, steps[0].started.message_id) == (question, answer.message_id)
    assert steps[-1].done == answer
    assert text_of(steps) == answer.text == "It is so."
    assert (answer.status, answer.grounded, question.text) == (COMPLETED, False, "Why is it so?")


async def test_a_citation_precedes_the_text_that_uses_it_and_is_stored_with_the_message(
    server: Server,
) -> None:
    user, chat = await in_class(server)
    server.content.chunks = [chunk("First passage."), chunk("Second. It has two sentences here. End.")]
    server.tutor.script = ["It has two sen", "tences here. [", "2] So [1], [2] and [7]."]
    steps = await collect(server.ask(user, chat))
    answer = (await server.messages(user, chat))[-1]
    assert text_of(steps) == answer.text == "It has two sentences here. [1] So [2], [1] and [ 7 ]."
    assert [step.citation for step in steps if step.HasField("citation")] == [*answer.citations]
    for number in (1, 2):
        citation_steps = [
            kinds(steps).index("citation"),
            *[i for i, s in enumerate(steps) if s.citation.number == number],
        ]
        used = next(i for i in range(len(steps)) if f"[{number}]" in text_of(steps[: i + 1]))
        assert citation_steps[-1] < used
    assert answer.grounded
    first = answer.citations[0]
    source = server.content.chunks[1]
    assert first.excerpt == "It has two sentences here."
    assert (
        source.text[first.char_start - source.char_start : first.char_end - source.char_start]
        == first.excerpt
    )
    assert (first.chunk_id, first.revision_id, first.page) == (source.chunk_id, source.revision_id, 3)
    assert answer.citations[1].excerpt == "First passage."


async def test_the_search_uses_the_token_of_the_caller(server: Server) -> None:
    class_id, content_id = new_id(), new_id()
    user = server.user(class_id)
    chat = await server.chat(user, class_id, content_id)
    await collect(server.ask(user, chat, "Where?"))
    [(request, metadata)] = server.content.searches
    assert (request.class_id, request.content_id, request.query) == (class_id, content_id, "Where?")
    assert dict(metadata)["authorization"] == dict(user.auth["metadata"])["authorization"]


async def test_a_general_chat_searches_no_material(server: Server) -> None:
    user = server.user()
    await collect(server.ask(user, await server.chat(user)))
    assert server.content.searches == []


async def test_without_a_passage_the_answer_is_not_in_material_and_the_tutor_is_not_asked(
    server: Server,
) -> None:
    user, chat = await in_class(server)
    steps = await collect(server.ask(user, chat))
    assert steps[-1].done.text == NOT_IN_MATERIAL
    assert (steps[-1].done.grounded, len(steps[-1].done.citations)) == (False, 0)
    assert server.tutor.asked == []


async def test_an_answer_that_cites_nothing_is_not_grounded(server: Server) -> None:
    user, chat = await in_class(server)
    server.content.chunks = [chunk("First passage.")]
    steps = await collect(server.ask(user, chat))
    assert (steps[-1].done.text, steps[-1].done.grounded) == ("It is so.", False)


async def test_the_tutor_receives_the_history_without_citation_numbers(
    server: Server,
) -> None:
    user, chat = await in_class(server)
    server.content.chunks = [chunk("First passage.")]
    server.tutor.script = ["It is so [1]."]
    for text in ("Why?", "And then?"):
        await collect(server.ask(user, chat, text))
    question, history, passages = server.tutor.asked[-1]
    assert question == "And then?"
    assert history == [ChatTurn(True, "Why?"), ChatTurn(False, "It is so.")]
    assert [(passage.title, passage.page, passage.text) for passage in passages] == [
        ("Reader", 3, "First passage.")
    ]


async def test_a_former_class_member_cannot_ask_and_nothing_is_stored(server: Server) -> None:
    user, chat = await in_class(server)
    denied = await expect_error(server.ask(server.sign_in(user.user_id), chat))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "NOT_CLASS_MEMBER")
    assert denied.metadata == {"class_id": chat.class_id}
    assert await server.messages(user, chat) == []


async def test_chats_of_an_archived_class_continue(server: Server) -> None:
    user, chat = await in_class(server)
    server.content.chunks = [chunk("First passage.")]
    server.tutor.script = ["It is so [1]."]
    member = server.sign_in(user.user_id, archived=[chat.class_id])
    for asked in (chat, await server.chat(member, chat.class_id)):
        assert kinds(await collect(server.ask(member, asked)))[-1] == "done"


async def test_an_answer_fails_if_the_search_is_denied(server: Server) -> None:
    user, chat = await in_class(server)
    server.content.error = rpc_error(grpc.StatusCode.PERMISSION_DENIED)
    steps = await collect(server.ask(user, chat))
    assert (kinds(steps), reason(steps[-1])) == (["started", "error"], "NOT_CLASS_MEMBER")
    assert (await server.messages(user, chat))[-1].status == FAILED


async def test_an_answer_fails_if_content_service_is_unavailable(server: Server) -> None:
    user, chat = await in_class(server)
    server.content.error = rpc_error(grpc.StatusCode.UNAVAILABLE)
    steps = await collect(server.ask(user, chat))
    assert (kinds(steps), reason(steps[-1])) == (["started", "error"], "SERVICE_UNAVAILABLE")


async def test_a_malformed_question_is_refused(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    for text in ("", "  \n", "x" * 10_001, "nul \0"):
        denied = await expect_error(server.ask(user, chat, text))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def read_outcome(stream: Any) -> Any:
    """Returns the first message of a stream that is not an error. Raises the error otherwise."""
    step = await stream.read()
    # If a second has passed, the headers were sent, and the error is a message before it is the status.
    return await stream.read() if step.HasField("error") else step


async def test_twenty_concurrent_questions_start_one_answer(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = [asyncio.Event()]
    streams = [server.ask(user, chat, f"Question {number}") for number in range(20)]
    outcomes = await asyncio.gather(*map(read_outcome, streams), return_exceptions=True)
    [started] = [outcome for outcome in outcomes if isinstance(outcome, AnswerStep)]
    denials = [parse_error(outcome) for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert len(denials) == 19
    assert {(denial.code, denial.reason) for denial in denials} == {
        ("FAILED_PRECONDITION", "ANSWER_IN_PROGRESS")
    }
    assert {denial.metadata["message_id"] for denial in denials} == {started.started.message_id}
    assert [message.sequence for message in await server.messages(user, chat)] == [1, 2]


async def test_refused_questions_leave_no_gap_in_the_sequences(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = [asyncio.Event()]
    [started] = await read(server.ask(user, chat), 1)
    assert (await expect_error(server.ask(user, chat))).reason == "ANSWER_IN_PROGRESS"
    await server.stop(user, chat, started.started.message_id)
    server.tutor.script = ["It is so."]
    await collect(server.ask(user, chat))
    assert [message.sequence for message in await server.messages(user, chat)] == [1, 2, 3, 4]


async def test_one_request_id_gives_one_answer_to_twenty_streams_on_two_replicas(
    new_server: NewServer,
) -> None:
    here, there = await new_server(), await new_server()
    user = here.user()
    chat = await here.chat(user)
    resume = asyncio.Event()
    here.tutor.script = there.tutor.script = ["It is ", resume, "so, ", "and ", "so."]
    request_id = new_id()
    streams = [(here, there)[number % 2].ask(user, chat, request_id=request_id) for number in range(20)]
    started = await asyncio.gather(*(stream.read() for stream in streams))
    resume.set()
    rest = await asyncio.gather(*(collect(stream) for stream in streams))
    seen = [[first, *more] for first, more in zip(started, rest, strict=True)]
    assert len({b"".join(step.SerializeToString() for step in steps) for steps in seen}) == 1
    assert text_of(seen[0]) == "It is so, and so."
    assert len(here.tutor.asked) + len(there.tutor.asked) == 1
    assert len(await here.messages(user, chat)) == 2
    assert await collect(here.ask(user, chat, request_id=request_id)) == seen[0]


async def test_a_request_id_is_refused_for_a_second_question(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    request_id = new_id()
    await collect(server.ask(user, chat, "Why?", request_id))
    denied = await expect_error(server.ask(user, chat, "How?", request_id))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def test_an_answer_is_completed_without_a_reader(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    disconnected = asyncio.Event()
    server.tutor.script = ["It ", disconnected, "is so."]
    stream = server.ask(user, chat)
    [started] = await read(stream, 1)
    stream.cancel()
    disconnected.set()
    steps = await collect(server.resume(user, chat, started.started.message_id, after_sequence=1))
    assert (text_of(steps), steps[-1].done.status) == ("It is so.", COMPLETED)


async def test_questions_beyond_max_answers_are_refused_and_can_be_repeated(
    new_server: NewServer,
) -> None:
    server = await new_server(max_answers=2)
    resume = asyncio.Event()
    server.tutor.script = [resume, "It is so."]
    user = server.user()
    chats = [await server.chat(user) for _ in range(3)]
    streams = [server.ask(user, chat, request_id=chat.chat_id) for chat in chats[:2]]
    for stream in streams:
        await stream.read()
    denied = await expect_error(server.ask(user, chats[2], request_id=chats[2].chat_id))
    assert (denied.code, denied.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    again = server.ask(user, chats[0], request_id=chats[0].chat_id)
    resume.set()
    assert (await collect(again))[-1].done.text == "It is so."
    for stream in streams:
        await collect(stream)
    steps = await ask_until_slot_is_free(server, user, chats[2])
    assert [step.sequence for step in steps] == [*range(1, len(steps) + 1)]


async def test_an_endless_answer_ends_at_the_maximum_length(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = ["on and on "] * rules.MAX_ANSWER_CHARACTERS
    steps = await collect(server.ask(user, chat))
    assert len(steps[-1].done.text) == rules.MAX_ANSWER_CHARACTERS
    assert text_of(steps) == steps[-1].done.text


async def test_a_slow_reader_delays_no_other_reader_and_misses_no_step(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = ["€ " * 100] * (rules.MAX_ANSWER_CHARACTERS // 200)
    slow = server.ask(user, chat)
    [started] = await read(slow, 1)
    quick = await collect(server.resume(user, chat, started.started.message_id, after_sequence=1))
    assert quick[-1].done.status == COMPLETED
    assert [started, *await collect(slow)] == [started, *quick]


async def test_a_streaming_message_contains_the_text_stored_so_far(server: Server) -> None:
    user = server.user()
    chat = await server.chat(user)
    server.tutor.script = ["It is ", asyncio.Event(), "so."]
    seen = await read(server.ask(user, chat), 2)
    answer = (await server.messages(user, chat))[-1]
    assert (answer.status, answer.text) == (STREAMING, text_of(seen))
    assert text_of(seen) == "It is "
