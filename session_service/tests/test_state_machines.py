"""The state machine of every mode, as a table and by random walks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meno.session.v1.resources_pb2 import (
    SESSION_PHASE_COMPLETED,
    SESSION_PHASE_INTAKE,
    SessionAction,
    SessionMode,
    SessionPhase,
)
from session_service.sessions.messages import ACTIONS, MODES, PHASES
from session_service.sessions.rules import allowed_actions, next_phase

TRANSITIONS = {
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
phases = st.sampled_from(SessionPhase.values()[1:])
actions = st.sampled_from(SessionAction.values()[1:])


@pytest.mark.parametrize("mode", MODES.names)
def test_a_mode_has_exactly_these_transitions(mode: str) -> None:
    number = MODES.value(mode)
    transitions = {
        f"{phase} {action} {PHASES.name(next_)}"
        for phase in PHASES.names
        for action in ACTIONS.names
        if (next_ := next_phase(number, PHASES.value(phase), ACTIONS.value(action)))
    }
    assert transitions == {line.strip() for line in TRANSITIONS[mode].strip().splitlines()}


@given(modes, phases, actions)
def test_an_action_is_allowed_exactly_if_it_leads_to_a_phase(
    mode: SessionMode.ValueType, phase: SessionPhase.ValueType, action: SessionAction.ValueType
) -> None:
    assert (action in allowed_actions(mode, phase)) == (next_phase(mode, phase, action) is not None)


@given(modes, st.lists(actions, max_size=40))
def test_completed_is_reachable_after_every_sequence_of_actions(
    mode: SessionMode.ValueType, walk: list[SessionAction.ValueType]
) -> None:
    phase: SessionPhase.ValueType = SESSION_PHASE_INTAKE
    for action in walk:
        phase = next_phase(mode, phase, action) or phase
    assert (not allowed_actions(mode, phase)) == (phase == SESSION_PHASE_COMPLETED)
    assert SESSION_PHASE_COMPLETED in _reachable(mode, phase)


def _reachable(mode: SessionMode.ValueType, start: SessionPhase.ValueType) -> set[SessionPhase.ValueType]:
    found, waiting = {start}, [start]
    while waiting:
        phase = waiting.pop()
        for action in allowed_actions(mode, phase):
            next_ = next_phase(mode, phase, action)
            assert next_ is not None
            if next_ not in found:
                found.add(next_)
                waiting.append(next_)
    return found
