"""What session_service knows of a person, and what becomes of it."""

from chassis.data_rights import OF_OTHERS, Erase, Rule, Rules
from session_service.tables import Session, SessionEvent

RULES = Rules(
    Rule(Session),
    Rule(Session, "deleted_by_user_id", erase=Erase.CLEAR, untold=OF_OTHERS),
    Rule(SessionEvent),
    guests=True,
)
