"""Value types of answers."""

from datetime import datetime
from typing import Any, NamedTuple

from chat_service.content import Metadata


class AnswerKey(NamedTuple):
    """The primary key of an answer."""

    user_id: str
    chat_id: str
    message_id: str

    @property
    def notification_key(self) -> str:
        """The key that the Notifier sends when the answer has new steps."""
        return f"answer:{self.message_id}"


class AnswerJob(NamedTuple):
    """One answer to write: the question, its scope and the key of the answer."""

    key: AnswerKey
    fencing_token: str
    sequence: int
    """Sequence of the answer in its chat."""
    question: str
    class_id: str | None
    """The material of this class is searched; None if the chat uses no material."""
    content_id: str | None
    metadata: Metadata
    """Metadata of the caller, with the access token, for calls to content_service."""
    request_id: str
    is_guest: bool
    """Guests have their own slots in the pool of writers."""


class ReservedSequence(NamedTuple):
    """The scope of a chat and the sequence reserved for its next answer; the question has the one before."""

    source: str
    class_id: str | None
    content_id: str | None
    sequence: int


class StartedRow(NamedTuple):
    """A new question and its new answer."""

    question_id: str
    created_at: datetime
    message_id: str
    fencing_token: str


class StepRow(NamedTuple):
    """An answer and one of its steps. The step columns are null if the answer has no further step."""

    answer_sequence: int
    """Sequence of the answer in its chat."""
    status: str
    sequence: int | None
    kind: str | None
    text: str | None
    error: bytes | None
    citation: dict[str, Any] | None


class NewSteps(NamedTuple):
    """Steps to insert and the citations that they refer to, as column values by name."""

    steps: list[dict[str, Any]]
    """Each has `sequence`, and either `text` or the `number` of a citation."""
    citations: list[dict[str, Any]]
