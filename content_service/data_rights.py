"""The personal data of content_service and its erasure.

Authored content belongs to the class. The erasure of a user keeps the content and removes the author's id.
"""

from chassis.data_rights import ABOUT_OTHERS, Erase, Rule, Rules
from content_service.tables import content_revisions, contents

RULES = Rules(
    Rule(contents, "created_by_user_id", erase=Erase.CLEAR),
    Rule(contents, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(content_revisions, "created_by_user_id", erase=Erase.CLEAR),
)
