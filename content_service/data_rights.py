"""What content_service knows of a person, and what becomes of it.

What somebody wrote for a class is the class's: it stays, and names nobody.
"""

from chassis.data_rights import OF_OTHERS, Erase, Rule, Rules
from content_service.tables import Content, Revision

RULES = Rules(
    Rule(Content, "created_by_user_id", erase=Erase.CLEAR),
    Rule(Content, "deleted_by_user_id", erase=Erase.CLEAR, untold=OF_OTHERS),
    Rule(Revision, "created_by_user_id", erase=Erase.CLEAR),
)
