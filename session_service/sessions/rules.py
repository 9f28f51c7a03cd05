"""The machine of every mode: which action leads from which phase to which."""

from collections.abc import Mapping

from meno.session.v1.session_service_pb2 import (
    ACTION_COMPLETE,
    ACTION_GENERATE_PLAN,
    ACTION_NEXT_TOPIC,
    ACTION_START_TOPIC,
    ACTION_SUBMIT_ANSWERS,
    ACTION_TAKE_QUIZ,
    PHASE_ANALYZING,
    PHASE_COMPLETED,
    PHASE_INTAKE,
    PHASE_LEARNING,
    PHASE_PLANNING,
    PHASE_QUIZZING,
    SESSION_MODE_CLARIFY_DOUBTS,
    SESSION_MODE_EXAM,
    SESSION_MODE_PRACTICE,
    SESSION_MODE_TEACH_ME,
    Action,
    Phase,
    SessionMode,
)

Moves = Mapping[Phase.ValueType, Mapping[Action.ValueType, Phase.ValueType]]

# A session is over where no action leads on; from everywhere else COMPLETED can be reached.
MACHINES: Mapping[SessionMode.ValueType, Moves] = {
    SESSION_MODE_TEACH_ME: {
        PHASE_INTAKE: {ACTION_GENERATE_PLAN: PHASE_PLANNING},
        PHASE_PLANNING: {ACTION_START_TOPIC: PHASE_LEARNING},
        PHASE_LEARNING: {ACTION_TAKE_QUIZ: PHASE_QUIZZING},
        PHASE_QUIZZING: {ACTION_SUBMIT_ANSWERS: PHASE_ANALYZING},
        PHASE_ANALYZING: {ACTION_NEXT_TOPIC: PHASE_PLANNING, ACTION_COMPLETE: PHASE_COMPLETED},
        PHASE_COMPLETED: {},
    },
    # The learner asks until every doubt is cleared.
    SESSION_MODE_CLARIFY_DOUBTS: {
        PHASE_INTAKE: {ACTION_START_TOPIC: PHASE_LEARNING},
        PHASE_LEARNING: {ACTION_COMPLETE: PHASE_COMPLETED},
        PHASE_COMPLETED: {},
    },
    # One quiz; what the answers tell is said once they are all in.
    SESSION_MODE_EXAM: {
        PHASE_INTAKE: {ACTION_TAKE_QUIZ: PHASE_QUIZZING},
        PHASE_QUIZZING: {ACTION_SUBMIT_ANSWERS: PHASE_ANALYZING},
        PHASE_ANALYZING: {ACTION_COMPLETE: PHASE_COMPLETED},
        PHASE_COMPLETED: {},
    },
    # As teach_me, with no plan between the topics.
    SESSION_MODE_PRACTICE: {
        PHASE_INTAKE: {ACTION_START_TOPIC: PHASE_LEARNING},
        PHASE_LEARNING: {ACTION_TAKE_QUIZ: PHASE_QUIZZING},
        PHASE_QUIZZING: {ACTION_SUBMIT_ANSWERS: PHASE_ANALYZING},
        PHASE_ANALYZING: {ACTION_NEXT_TOPIC: PHASE_LEARNING, ACTION_COMPLETE: PHASE_COMPLETED},
        PHASE_COMPLETED: {},
    },
}

_ALLOWED = {
    (mode, phase): tuple(moves) for mode, machine in MACHINES.items() for phase, moves in machine.items()
}


def next_phase(
    mode: SessionMode.ValueType, phase: Phase.ValueType, action: Action.ValueType
) -> Phase.ValueType | None:
    """Where an action leads, or None where the mode's phase has no such action."""
    return MACHINES[mode].get(phase, {}).get(action)


def allowed_actions(mode: SessionMode.ValueType, phase: Phase.ValueType) -> tuple[Action.ValueType, ...]:
    """What may come next; empty when the session is over."""
    return _ALLOWED.get((mode, phase), ())
