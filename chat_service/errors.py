"""Errors of chat_service."""

from chassis.errors import RATE_LIMIT_RETRY_DELAY, UNAVAILABLE_RETRY_DELAY, DomainError, retry_after
from meno.chat.v1.errors_pb2 import ErrorReason


class ChatError(DomainError, contract=ErrorReason):
    """Base class of the errors of chat_service."""


class ChatNotFound(ChatError):
    def __init__(self, chat_id: str) -> None:
        super().__init__("The chat does not exist.", chat_id=chat_id)


class MessageNotFound(ChatError):
    def __init__(self, message_id: str) -> None:
        super().__init__("The chat has no answer with this id.", message_id=message_id)


class AnswerInProgress(ChatError):
    def __init__(self, message_id: str) -> None:
        super().__init__(
            "The tutor is still answering in this chat. Wait for the answer or stop it.",
            message_id=message_id,
        )


class NotClassMember(ChatError):
    def __init__(self, class_id: str) -> None:
        super().__init__("You are no longer a member of this chat's class.", class_id=class_id)


class AnswerInterrupted(ChatError):
    def __init__(self) -> None:
        super().__init__(
            "The answer was interrupted. The text written so far is kept. Ask again.",
            details=(retry_after(UNAVAILABLE_RETRY_DELAY),),
        )


class ModelFailed(ChatError):
    def __init__(self) -> None:
        super().__init__(
            "The language model failed. The text written so far is kept. Ask again.",
            details=(retry_after(UNAVAILABLE_RETRY_DELAY),),
        )


class TooManyAnswers(ChatError):
    def __init__(self, limit: int) -> None:
        progress = "1 answer" if limit == 1 else f"{limit} answers"
        super().__init__(
            f"You have {progress} in progress, which is the maximum. Wait for one or stop it.",
            details=(retry_after(RATE_LIMIT_RETRY_DELAY),),
            limit=limit,
        )
