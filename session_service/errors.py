"""Why session_service refuses."""

from collections.abc import Iterable

from chassis.errors import DomainError
from meno.session.v1.errors_pb2 import ErrorReason


class Refusal(DomainError, contract=ErrorReason):
    """A refusal of this context."""


class SessionNotFound(Refusal):
    def __init__(self, session_id: str) -> None:
        super().__init__("There is no such session.", session_id=session_id)


class ActionNotAllowed(Refusal):
    def __init__(self, phase: str, allowed_actions: Iterable[str]) -> None:
        allowed = ",".join(allowed_actions)
        super().__init__(
            f"Phase {phase} has no such action; it allows {allowed.replace(',', ', ') or 'none'}.",
            phase=phase,
            allowed_actions=allowed,
        )


class StateVersionStale(Refusal):
    def __init__(self, state_version: int) -> None:
        super().__init__(
            "The session was changed since you read it. Read it again and repeat.",
            state_version=state_version,
        )


class SessionCompleted(Refusal):
    def __init__(self, session_id: str) -> None:
        super().__init__("The session is over and takes no more events.", session_id=session_id)


class EventIdReused(Refusal):
    def __init__(self, client_event_id: str) -> None:
        super().__init__(
            "This client_event_id stands for another event. Choose a new one.",
            client_event_id=client_event_id,
        )


class PayloadTooLarge(Refusal):
    def __init__(self, client_event_id: str) -> None:
        super().__init__(
            "A payload has at most 16 KiB as JSON and at most 8 levels.", client_event_id=client_event_id
        )
