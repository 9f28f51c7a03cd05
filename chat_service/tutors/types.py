"""The interface of tutors and its value types.

The output of a tutor is untrusted data: a model may cite incorrectly or obey instructions in the
material. The caller sanitises it before a reader sees it.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

NOT_IN_MATERIAL = "The material of this class does not answer this question."
"""The answer if no passage is relevant to the question."""


class Passage(NamedTuple):
    """A passage of material that an answer may cite. Its number is its position in the list, from 1."""

    title: str
    page: int
    """From 1; 0 if the format has no pages."""
    section: str
    text: str


class ChatTurn(NamedTuple):
    """An earlier message of the same chat."""

    by_learner: bool
    text: str


class TutorFailed(Exception):
    """The tutor could not be reached, returned an error, or ended early."""


class Tutor(Protocol):
    """Answers questions."""

    def answer(
        self, question: str, history: Sequence[ChatTurn], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        """Yields the answer in pieces of Markdown. `[n]` refers to the passage with number n.

        `history` is oldest first. Raises TutorFailed before the first piece or after any piece.
        """
