"""The state machine of each session mode: the phase that each action leads to."""

import json
from collections.abc import Mapping

from chassis.errors import FieldInvalid
from meno.content.v1.resources_pb2 import CONTENT_KIND_LESSON, Content
from meno.session.v1.resources_pb2 import (
    SESSION_ACTION_COMPLETE,
    SESSION_ACTION_GENERATE_PLAN,
    SESSION_ACTION_NEXT_TOPIC,
    SESSION_ACTION_START_TOPIC,
    SESSION_ACTION_SUBMIT_ANSWERS,
    SESSION_ACTION_TAKE_QUIZ,
    SESSION_MODE_CLARIFY_DOUBTS,
    SESSION_MODE_EXAM,
    SESSION_MODE_PRACTICE,
    SESSION_MODE_TEACH_ME,
    SESSION_PHASE_ANALYZING,
    SESSION_PHASE_COMPLETED,
    SESSION_PHASE_INTAKE,
    SESSION_PHASE_LEARNING,
    SESSION_PHASE_PLANNING,
    SESSION_PHASE_QUIZZING,
    SessionAction,
    SessionMode,
    SessionPhase,
)
from session_service.sessions.events.types import NewEvent

Transitions = Mapping[SessionPhase.ValueType, Mapping[SessionAction.ValueType, SessionPhase.ValueType]]

# A session is over if its phase allows no action. COMPLETED is reachable from every other phase.
STATE_MACHINES: Mapping[SessionMode.ValueType, Transitions] = {
    SESSION_MODE_TEACH_ME: {
        SESSION_PHASE_INTAKE: {SESSION_ACTION_GENERATE_PLAN: SESSION_PHASE_PLANNING},
        SESSION_PHASE_PLANNING: {SESSION_ACTION_START_TOPIC: SESSION_PHASE_LEARNING},
        SESSION_PHASE_LEARNING: {SESSION_ACTION_TAKE_QUIZ: SESSION_PHASE_QUIZZING},
        SESSION_PHASE_QUIZZING: {SESSION_ACTION_SUBMIT_ANSWERS: SESSION_PHASE_ANALYZING},
        SESSION_PHASE_ANALYZING: {
            SESSION_ACTION_NEXT_TOPIC: SESSION_PHASE_PLANNING,
            SESSION_ACTION_COMPLETE: SESSION_PHASE_COMPLETED,
        },
        SESSION_PHASE_COMPLETED: {},
    },
    # The learner asks questions until all doubts are resolved.
    SESSION_MODE_CLARIFY_DOUBTS: {
        SESSION_PHASE_INTAKE: {SESSION_ACTION_START_TOPIC: SESSION_PHASE_LEARNING},
        SESSION_PHASE_LEARNING: {SESSION_ACTION_COMPLETE: SESSION_PHASE_COMPLETED},
        SESSION_PHASE_COMPLETED: {},
    },
    # One quiz, analysed only after all answers are submitted.
    SESSION_MODE_EXAM: {
        SESSION_PHASE_INTAKE: {SESSION_ACTION_TAKE_QUIZ: SESSION_PHASE_QUIZZING},
        SESSION_PHASE_QUIZZING: {SESSION_ACTION_SUBMIT_ANSWERS: SESSION_PHASE_ANALYZING},
        SESSION_PHASE_ANALYZING: {SESSION_ACTION_COMPLETE: SESSION_PHASE_COMPLETED},
        SESSION_PHASE_COMPLETED: {},
    },
    # Like teach_me, without a plan between the topics.
    SESSION_MODE_PRACTICE: {
        SESSION_PHASE_INTAKE: {SESSION_ACTION_START_TOPIC: SESSION_PHASE_LEARNING},
        SESSION_PHASE_LEARNING: {SESSION_ACTION_TAKE_QUIZ: SESSION_PHASE_QUIZZING},
        SESSION_PHASE_QUIZZING: {SESSION_ACTION_SUBMIT_ANSWERS: SESSION_PHASE_ANALYZING},
        SESSION_PHASE_ANALYZING: {
            SESSION_ACTION_NEXT_TOPIC: SESSION_PHASE_LEARNING,
            SESSION_ACTION_COMPLETE: SESSION_PHASE_COMPLETED,
        },
        SESSION_PHASE_COMPLETED: {},
    },
}

_ALLOWED = {
    (mode, phase): tuple(transitions)
    for mode, machine in STATE_MACHINES.items()
    for phase, transitions in machine.items()
}


def next_phase(
    mode: SessionMode.ValueType, phase: SessionPhase.ValueType, action: SessionAction.ValueType
) -> SessionPhase.ValueType | None:
    """Returns the phase that an action leads to, or None if the phase does not allow the action."""
    return STATE_MACHINES[mode].get(phase, {}).get(action)


def allowed_actions(
    mode: SessionMode.ValueType, phase: SessionPhase.ValueType
) -> tuple[SessionAction.ValueType, ...]:
    """Returns the actions that a phase allows; none if the session is over."""
    return _ALLOWED.get((mode, phase), ())


def phase_changed_event(client_event_id: str, phase: str, next_phase: str, action: str) -> NewEvent:
    """Returns the event that records the transition of a session to another phase."""
    payload = {"from": phase, "to": next_phase, "action": action}
    return NewEvent(client_event_id, "PhaseChanged", 0, json.dumps(payload))


def lesson_title(content: Content) -> str:
    """Returns the title of a lesson. Raises FieldInvalid if the content is not a lesson."""
    if content.kind != CONTENT_KIND_LESSON:
        raise FieldInvalid.of("content_id", "must identify a lesson", "create_session.content_kind")
    return content.title
