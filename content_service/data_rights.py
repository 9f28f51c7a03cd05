"""The personal data of content_service and its erasure.

Authored content belongs to the class. The erasure of a user keeps the content and removes the author's id.
"""

from chassis.data_rights import ABOUT_OTHERS, Erase, Rule, Rules
from content_service.tables import Content, Revision

RULES = Rules(
    Rule(Content, "created_by_user_id", erase=Erase.CLEAR),
    Rule(Content, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(Revision, "created_by_user_id", erase=Erase.CLEAR),
)
