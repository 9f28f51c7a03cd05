"""Maps the parts and rows of an answer to the steps of its stream, and steps to rows."""

from typing import Any

from google.rpc.status_pb2 import Status

from chat_service.answers.rules import Part
from chat_service.answers.types import NewSteps
from chat_service.chats.message_store import CITATION
from meno.chat.v1.resources_pb2 import AnswerStep, Citation, Message


def started_step(question: Message, message_id: str) -> AnswerStep:
    """Returns the first step of an answer."""
    return AnswerStep(sequence=1, started=AnswerStep.Started(question=question, message_id=message_id))


def step_from_part(sequence: int, part: Part) -> AnswerStep:
    """Returns the step for a part of an answer."""
    if isinstance(part, Citation):
        return AnswerStep(sequence=sequence, citation=part)
    return AnswerStep(sequence=sequence, text_delta=part)


def last_step(sequence: int, answer: Message, error: Status | None) -> AnswerStep:
    """Returns the last step: the error if there is one, otherwise the stored answer."""
    if error is not None:
        return AnswerStep(sequence=sequence, error=error)
    return AnswerStep(sequence=sequence, done=answer)


def is_last(step: AnswerStep) -> bool:
    """Returns whether a step is the last one of its answer."""
    return step.HasField("done") or step.HasField("error")


def to_rows(steps: list[AnswerStep]) -> NewSteps:
    """Returns the rows to insert for text and citation steps."""
    return NewSteps(
        steps=[_step_row(step) for step in steps],
        citations=[_citation_row(step.citation) for step in steps if step.HasField("citation")],
    )


def _step_row(step: AnswerStep) -> dict[str, Any]:
    if step.HasField("citation"):
        return {"sequence": step.sequence, "number": step.citation.number}
    return {"sequence": step.sequence, "text": step.text_delta}


def _citation_row(citation: Citation) -> dict[str, Any]:
    return {name: getattr(citation, name) for name in CITATION}
