"""The machine of every mode, as a table and by walks through it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meno.session.v1.session_service_pb2 import (
    PHASE_COMPLETED,
    PHASE_INTAKE,
    Action,
    Phase,
    SessionMode,
)
from session_service.sessions.rules import allowed_actions, next_phase
from session_service.sessions.servicer import ACTIONS, MODES, PHASES

MOVES = {
    "teach_me": """
        INTAKE GENERATE_PLAN PLANNING
        PLANNING START_TOPIC LEARNING
        LEARNING TAKE_QUIZ QUIZZING
        QUIZZING SUBMIT_ANSWERS ANALYZING
        ANALYZING NEXT_TOPIC PLANNING
        ANALYZING COMPLETE COMPLETED
    """,
    "clarify_doubts": """
        INTAKE START_TOPIC LEARNING
        LEARNING COMPLETE COMPLETED
    """,
    "exam": """
        INTAKE TAKE_QUIZ QUIZZING
        QUIZZING SUBMIT_ANSWERS ANALYZING
        ANALYZING COMPLETE COMPLETED
    """,
    "practice": """
        INTAKE START_TOPIC LEARNING
        LEARNING TAKE_QUIZ QUIZZING
        QUIZZING SUBMIT_ANSWERS ANALYZING
        ANALYZING NEXT_TOPIC LEARNING
        ANALYZING COMPLETE COMPLETED
    """,
}

modes = st.sampled_from(SessionMode.values()[1:])
phases = st.sampled_from(Phase.values()[1:])
actions = st.sampled_from(Action.values()[1:])


@pytest.mark.parametrize("mode", MODES.texts)
def test_a_mode_has_exactly_these_moves(mode: str) -> None:
    number = MODES.number(mode)
    moves = {
        f"{phase} {action} {PHASES.text(following)}"
        for phase in PHASES.texts
        for action in ACTIONS.texts
        if (following := next_phase(number, PHASES.number(phase), ACTIONS.number(action)))
    }
    assert moves == {line.strip() for line in MOVES[mode].strip().splitlines()}


@given(modes, phases, actions)
def test_an_action_is_allowed_where_it_leads_somewhere(
    mode: SessionMode.ValueType, phase: Phase.ValueType, action: Action.ValueType
) -> None:
    assert (action in allowed_actions(mode, phase)) == (next_phase(mode, phase, action) is not None)


@given(modes, st.lists(actions, max_size=40))
def test_every_walk_can_still_be_completed_until_it_is(
    mode: SessionMode.ValueType, walk: list[Action.ValueType]
) -> None:
    phase: Phase.ValueType = PHASE_INTAKE
    for action in walk:
        phase = next_phase(mode, phase, action) or phase
    assert (not allowed_actions(mode, phase)) == (phase == PHASE_COMPLETED)
    assert PHASE_COMPLETED in _reachable(mode, phase)


def _reachable(mode: SessionMode.ValueType, start: Phase.ValueType) -> set[Phase.ValueType]:
    found, waiting = {start}, [start]
    while waiting:
        phase = waiting.pop()
        for action in allowed_actions(mode, phase):
            following = next_phase(mode, phase, action)
            assert following is not None
            if following not in found:
                found.add(following)
                waiting.append(following)
    return found
