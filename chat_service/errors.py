"""Why chat_service refuses."""

from chassis.errors import RETRY_SOON, DomainError, retry_after
from meno.chat.v1.errors_pb2 import ErrorReason


class Refusal(DomainError, contract=ErrorReason):
    """A refusal of this context."""


class ChatNotFound(Refusal):
    def __init__(self, chat_id: str) -> None:
        super().__init__("There is no such chat.", chat_id=chat_id)


class MessageNotFound(Refusal):
    def __init__(self, message_id: str) -> None:
        super().__init__("There is no such answer in this chat.", message_id=message_id)


class AnswerInProgress(Refusal):
    def __init__(self, message_id: str) -> None:
        super().__init__(
            "An answer is still being written in this chat. Wait for it or stop it.", message_id=message_id
        )


class ClassLeft(Refusal):
    def __init__(self, class_id: str) -> None:
        super().__init__("You are not a member of the chat's class any more.", class_id=class_id)


class AnswerInterrupted(Refusal):
    def __init__(self) -> None:
        super().__init__(
            "The writing of the answer broke off. What was written is kept. Ask again.",
            details=(retry_after(RETRY_SOON),),
        )


class ModelFailed(Refusal):
    def __init__(self) -> None:
        super().__init__(
            "The language model failed. What was written is kept. Ask again.",
            details=(retry_after(RETRY_SOON),),
        )
