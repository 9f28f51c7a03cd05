"""Maps rows of sessions to proto messages."""

from chassis.conversions import EnumCodec, to_timestamp
from meno.session.v1.resources_pb2 import Goal, Session, SessionAction, SessionMode, SessionPhase
from session_service.sessions import rules
from session_service.sessions.types import SessionRow

MODES = EnumCodec(SessionMode, spelling=str.lower)
PHASES = EnumCodec(SessionPhase)
ACTIONS = EnumCodec(SessionAction)


def to_message(row: SessionRow) -> Session:
    """Returns the proto message of a session."""
    mode, phase = MODES.value(row.mode), PHASES.value(row.phase)
    return Session(
        user_id=row.user_id,
        session_id=row.session_id,
        mode=mode,
        goal=Goal(**row.goal) if row.goal else None,
        class_id=row.class_id or "",
        content_id=row.content_id or "",
        lesson_title=row.lesson_title,
        phase=phase,
        allowed_actions=rules.allowed_actions(mode, phase),
        state_version=row.state_version,
        last_sequence=row.last_sequence,
        create_time=to_timestamp(row.created_at),
        update_time=to_timestamp(row.updated_at),
    )
