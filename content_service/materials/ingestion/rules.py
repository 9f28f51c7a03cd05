"""Rules of processing: how far it is at each step, when to give up, and what to tell the teacher."""

from dataclasses import dataclass

EXTRACTING, CHUNKING, EMBEDDING, FINALIZING = "EXTRACTING", "CHUNKING", "EMBEDDING", "FINALIZING"
"""Stages of the work, in order."""

MAX_FRUITLESS = 3
"""Attempts in a row that may bring the work no further before it fails."""

_PERCENT = {EXTRACTING: 2, CHUNKING: 10, EMBEDDING: 20, FINALIZING: 95}

_SENTENCES = {
    "FILE_CORRUPT": "The file is damaged. Save it again from the program that made it and upload that.",
    "FILE_ENCRYPTED": "The file is protected by a password. Upload it without.",
    "NO_TEXT": "The file holds no text, only pictures perhaps. Upload it with a text layer.",
    "TEXT_TOO_LONG": "The text is longer than this installation reads in one file. Upload it in parts.",
    "INTERNAL": "Something went wrong on our side. Try again; if it fails again, tell the operator.",
}


class Unreadable(Exception):
    """The file cannot be used; `reason` is a FailureReason without its prefix."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """How much is taken from a file."""

    max_characters: int
    max_pages: int


def percent(stage: str, done: int = 0, of: int = 1) -> int:
    """How far the work is at a stage, of which `done` parts are finished: 0 to 100, never falling."""
    if stage != EMBEDDING:
        return _PERCENT[stage]
    span = _PERCENT[FINALIZING] - _PERCENT[EMBEDDING]
    return _PERCENT[EMBEDDING] + span * min(done, of) // max(of, 1)


def sentence(reason: str) -> str:
    """What a failure means for the teacher."""
    return _SENTENCES[reason]
