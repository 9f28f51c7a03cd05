"""What chat_service knows of a person, and what becomes of it."""

from chassis.data_rights import OF_OTHERS, Erase, Rule, Rules
from chat_service.tables import AnswerStep, Chat, ChatMessage, MessageCitation

RULES = Rules(
    Rule(Chat),
    Rule(Chat, "deleted_by_user_id", erase=Erase.CLEAR, untold=OF_OTHERS),
    Rule(ChatMessage, withheld={"fencing_token": "says which process wrote an answer"}),
    Rule(ChatMessage, "deleted_by_user_id", erase=Erase.CLEAR, untold=OF_OTHERS),
    Rule(MessageCitation),
    Rule(AnswerStep, untold="the pieces of an answer, which its message holds whole"),
    guests=True,
)
