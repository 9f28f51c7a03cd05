"""Rules of models: what an administrator may refer to, and what holds where nothing is said."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from chassis.errors import FieldInvalid
from chassis.models import addresses, keys
from chassis.models.addresses import AddressRefused
from chassis.models.keys import KeyUnusable

BUILTIN = "BUILTIN"
"""The provider that Meno itself is."""
BUILTIN_MODELS = ("extractive", "deterministic")
DEFAULT_TEMPERATURE = 0.2
DEFAULT_MAX_OUTPUT = 2048

DESCRIPTIONS: Mapping[str, str] = {
    "TUTOR": "Answers questions and teaches.",
    "BOOK_INGESTION": "Reads books: their pages, where topics begin and end, and what they teach.",
    "STUDY_PLAN_GENERATOR": "Makes study plans of teaching guidelines.",
    "STUDY_PLAN_REVIEWER": "Reviews study plans and has them made better.",
    "QUIZ_GENERATOR": "Makes quizzes.",
    "MISCONCEPTION_DETECTOR": "Finds out what a learner got wrong, and why.",
    "EVAL_EVALUATOR": "Judges how well the tutor teaches.",
    "EVAL_SIMULATOR": "Plays learners whom the tutor teaches.",
}
"""What each component does."""

COMPONENTS = tuple(sorted(DESCRIPTIONS))
"""In the order in which they are listed."""


class Reach(NamedTuple):
    """What backends may lead to."""

    key_directory: Path
    private_hosts: frozenset[str]


def check(provider: str, reach: Reach, *, base_url: str, key_reference: str) -> None:
    """Passes what may be said of a backend; what is empty may be. Raises FieldInvalid."""
    if provider == BUILTIN and (base_url or key_reference):
        field = "base_url" if base_url else "key_reference"
        raise FieldInvalid.of(field, "must be empty: Meno itself is nowhere else", "backend.builtin")
    try:
        if base_url:
            addresses.check(base_url, reach.private_hosts)
    except AddressRefused as error:
        raise FieldInvalid.of("base_url", str(error), "backend.base_url") from error
    try:
        keys.check(key_reference, reach.key_directory)
    except KeyUnusable as error:
        raise FieldInvalid.of("key_reference", str(error), "backend.key_reference") from error
