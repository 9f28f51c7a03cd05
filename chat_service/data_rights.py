"""The personal data of chat_service: what an export contains and what an erasure deletes."""

from chassis.data_rights import ABOUT_OTHERS, Erase, Rule, Rules
from chat_service.tables import answer_steps, chat_messages, chats, message_citations

RULES = Rules(
    Rule(chats),
    Rule(chats, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(chat_messages, excluded_columns={"fencing_token": "Identifies the process that wrote an answer."}),
    Rule(chat_messages, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(message_citations),
    Rule(answer_steps, not_exported="The steps of an answer; its message contains the complete text."),
    guests=True,
    private_responses=True,
)
