"""The personal data of chat_service: what an export contains and what an erasure deletes."""

from chassis.data_rights import ABOUT_OTHERS, Erase, Rule, Rules
from chat_service.tables import AnswerStep, Chat, ChatMessage, MessageCitation

RULES = Rules(
    Rule(Chat),
    Rule(Chat, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(ChatMessage, excluded_columns={"fencing_token": "Identifies the process that wrote an answer."}),
    Rule(ChatMessage, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(MessageCitation),
    Rule(AnswerStep, not_exported="The steps of an answer; its message contains the complete text."),
    guests=True,
)
