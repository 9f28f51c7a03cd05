"""Who writes an answer: one interface, whichever model stands behind it.

Everything that a tutor yields is data. Whoever shows it takes out what must not be shown:
no tutor is trusted to cite rightly, or to leave alone what a passage tells it to do.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

UNANSWERED = "The material of this class does not answer this question."
"""What is said where no passage bears on a question."""


class Passage(NamedTuple):
    """A piece of material that an answer may rest on. Its number is its place, from 1."""

    title: str
    page: int
    """From 1; 0 where the format has no pages."""
    section: str
    text: str


class Utterance(NamedTuple):
    """What was said before in the same conversation."""

    by_learner: bool
    text: str


class TutorFailed(Exception):
    """The model could not be reached, refused, or broke off."""


class Tutor(Protocol):
    """Answers questions."""

    def answer(
        self, question: str, history: Sequence[Utterance], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        """Yields the answer in pieces of Markdown; `[n]` refers to the passage with number n.

        `history` is oldest first. Raises TutorFailed, before the first piece or after any.
        """
