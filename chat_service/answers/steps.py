"""Steps of an answer, between the rules, the database and the wire."""

from typing import Any

from google.rpc.status_pb2 import Status

from chat_service.answers.rules import Part
from chat_service.answers.store import AnswerKey, Written
from chat_service.messages.store import CITATION
from meno.chat.v1.chat_service_pb2 import AnswerStep, Citation, Message


def begun(question: Message, message_id: str) -> AnswerStep:
    """The first step of any answer."""
    return AnswerStep(sequence=1, begun=AnswerStep.Begun(question=question, message_id=message_id))


def of_part(sequence: int, part: Part) -> AnswerStep:
    """The step that shows a part of an answer."""
    if isinstance(part, Citation):
        return AnswerStep(sequence=sequence, citation=part)
    return AnswerStep(sequence=sequence, text_delta=part)


def last(sequence: int, answer: Message, error: Status | None) -> AnswerStep:
    """The last step: the answer as it is stored, or why it broke off."""
    if error is not None:
        return AnswerStep(sequence=sequence, error=error)
    return AnswerStep(sequence=sequence, done=answer)


def ends(step: AnswerStep) -> bool:
    """Whether a step is an answer's last."""
    return step.HasField("done") or step.HasField("error")


def to_store(shown: list[AnswerStep]) -> Written:
    """The rows of citations and pieces of text."""
    return Written(
        steps=[_row(step) for step in shown],
        citations=[_fields(step.citation) for step in shown if step.HasField("citation")],
    )


def ring(key: AnswerKey) -> str:
    """What the bell rings when an answer has new steps."""
    return f"answer:{key.message_id}"


def _row(step: AnswerStep) -> dict[str, Any]:
    if step.HasField("citation"):
        return {"sequence": step.sequence, "number": step.citation.number}
    return {"sequence": step.sequence, "text": step.text_delta}


def _fields(citation: Citation) -> dict[str, Any]:
    return {name: getattr(citation, name) for name in CITATION}
