"""The components that use language models."""

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "TUTOR": "Answers questions and teaches.",
    "BOOK_INGESTION": "Extracts pages, topic boundaries and teaching guidelines from books.",
    "STUDY_PLAN_GENERATOR": "Creates study plans from teaching guidelines.",
    "STUDY_PLAN_REVIEWER": "Reviews study plans and requests improvements.",
    "QUIZ_GENERATOR": "Creates quizzes.",
    "MISCONCEPTION_DETECTOR": "Identifies what a learner misunderstood, and the reason.",
    "EVAL_EVALUATOR": "Evaluates how well the tutor teaches.",
    "EVAL_SIMULATOR": "Simulates learners in evaluations of the tutor.",
}
"""The purpose of each component."""

COMPONENTS = tuple(sorted(DESCRIPTIONS))
"""All components, in the order of their list."""
POSITIONS: Mapping[str, int] = {name: position for position, name in enumerate(COMPONENTS, start=1)}
"""The position of each component in the list, from 1."""
