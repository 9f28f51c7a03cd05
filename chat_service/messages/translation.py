"""Messages as they travel."""

from chassis.wire import Spelling, timestamp
from chat_service.messages.store import MessageRow
from meno.chat.v1.chat_service_pb2 import Citation, GenerationStatus, Message, MessageRole

ROLES = Spelling(MessageRole)
STATUSES = Spelling(GenerationStatus)


def message(row: MessageRow) -> Message:
    """A question or an answer as it travels."""
    return Message(
        chat_id=row.chat_id,
        message_id=row.message_id,
        sequence=row.sequence,
        role=ROLES.number(row.role),
        text=row.text,
        status=STATUSES.number(row.status),
        grounded=row.grounded,
        citations=[Citation(**fields) for fields in row.citations or ()],
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
    )
