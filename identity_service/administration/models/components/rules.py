"""The components that use language models."""

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "tutor": "Answers questions and teaches.",
    "book_ingestion": "Extracts pages, topic boundaries and teaching guidelines from books.",
    "study_plan_generator": "Creates study plans from teaching guidelines.",
    "study_plan_reviewer": "Reviews study plans and requests improvements.",
    "quiz_generator": "Creates quizzes.",
    "misconception_detector": "Identifies what a learner misunderstood, and the reason.",
    "eval_evaluator": "Evaluates how well the tutor teaches.",
    "eval_simulator": "Simulates learners in evaluations of the tutor.",
}
"""The purpose of each component."""

COMPONENTS = tuple(sorted(DESCRIPTIONS))
"""All components, in the order of their list."""
POSITIONS: Mapping[str, int] = {name: position for position, name in enumerate(COMPONENTS, start=1)}
"""The position of each component in the list, from 1."""


def label(component: str) -> str:
    """Returns the name of a component in errors and audit entries: that of the contract, without its prefix."""
    return component.upper()
