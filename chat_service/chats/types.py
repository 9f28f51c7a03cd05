"""Value types of chats and their messages."""

from datetime import datetime
from typing import Any, NamedTuple


class ChatRow(NamedTuple):
    """A chat."""

    user_id: str
    chat_id: str
    source: str
    class_id: str | None
    content_id: str | None
    title: str
    created_at: datetime
    updated_at: datetime


class NewChat(NamedTuple):
    """A chat to insert."""

    user_id: str
    source: str
    class_id: str | None
    content_id: str | None
    title: str


class MessageRow(NamedTuple):
    """A question or an answer. The text of a streaming answer is the text stored so far."""

    chat_id: str
    message_id: str
    sequence: int
    role: str
    text: str
    status: str
    grounded: bool
    created_at: datetime
    updated_at: datetime
    citations: list[dict[str, Any]] | None
    """The fields of each citation by name; None if the message cites nothing."""


class HistoryRow(NamedTuple):
    """A message of the history that the tutor receives."""

    role: str
    text: str


class ChatWithLastMessageRow(NamedTuple):
    """A chat and its last message. The message columns are null if the chat has no message."""

    user_id: str
    chat_id: str
    source: str
    class_id: str | None
    content_id: str | None
    title: str
    created_at: datetime
    updated_at: datetime
    message_chat_id: str
    message_id: str | None
    message_sequence: int
    message_role: str
    message_text: str
    message_status: str
    message_grounded: bool
    message_created_at: datetime
    message_updated_at: datetime
    message_citations: list[dict[str, Any]] | None

    @property
    def last_message(self) -> MessageRow | None:
        """The last message of the chat, or None."""
        if self.message_id is None:
            return None
        return MessageRow(
            self.message_chat_id,
            self.message_id,
            self.message_sequence,
            self.message_role,
            self.message_text,
            self.message_status,
            self.message_grounded,
            self.message_created_at,
            self.message_updated_at,
            self.message_citations,
        )
