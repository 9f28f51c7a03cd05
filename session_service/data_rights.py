"""The personal data of session_service: what an export contains and what an erasure deletes."""

from chassis.data_rights import ABOUT_OTHERS, Erase, Rule, Rules
from session_service.tables import session_events, sessions

RULES = Rules(
    Rule(sessions),
    Rule(sessions, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(session_events),
    guests=True,
    private_responses=True,
)
