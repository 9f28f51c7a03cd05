"""Errors of session_service."""

from collections.abc import Iterable

from chassis.errors import DomainError
from meno.session.v1.errors_pb2 import ErrorReason


class SessionError(DomainError, contract=ErrorReason):
    """Base class of the errors of session_service."""


class SessionNotFound(SessionError):
    def __init__(self, session_id: str) -> None:
        super().__init__("The session does not exist.", session_id=session_id)


class ActionNotAllowed(SessionError):
    def __init__(self, phase: str, allowed_actions: Iterable[str]) -> None:
        allowed = ",".join(allowed_actions)
        super().__init__(
            f"Phase {phase} does not allow this action. Allowed actions: {allowed.replace(',', ', ') or 'none'}.",
            phase=phase,
            allowed_actions=allowed,
        )


class StateVersionStale(SessionError):
    def __init__(self, state_version: int) -> None:
        super().__init__(
            "The session has changed since you read it. Read it again and retry.",
            current=state_version,
        )


class SessionCompleted(SessionError):
    def __init__(self, session_id: str) -> None:
        super().__init__("The session is completed and accepts no further events.", session_id=session_id)


class SessionFull(SessionError):
    def __init__(self, session_id: str, max_bytes: int) -> None:
        super().__init__(
            "The session is full. Complete it and create another one.",
            session_id=session_id,
            max_bytes=max_bytes,
        )


class EventIdReused(SessionError):
    def __init__(self, client_event_id: str) -> None:
        super().__init__(
            "This client_event_id identifies a different event. Choose a new one.",
            client_event_id=client_event_id,
        )


class PayloadTooLarge(SessionError):
    def __init__(self, client_event_id: str) -> None:
        super().__init__(
            "A payload must be at most 16 KiB of JSON and at most 8 levels deep.",
            client_event_id=client_event_id,
        )
