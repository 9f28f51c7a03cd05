"""Maps rows of chats and messages to proto messages."""

from chassis.conversions import EnumCodec, to_timestamp
from chat_service.chats.types import ChatRow, ChatWithLastMessageRow, MessageRow
from meno.chat.v1.resources_pb2 import Chat, Citation, GenerationStatus, Message, MessageRole, SourceMode

SOURCES = EnumCodec(SourceMode)
ROLES = EnumCodec(MessageRole)
STATUSES = EnumCodec(GenerationStatus)


def to_message(row: MessageRow) -> Message:
    """Returns the proto message of a question or an answer."""
    return Message(
        chat_id=row.chat_id,
        message_id=row.message_id,
        sequence=row.sequence,
        role=ROLES.value(row.role),
        text=row.text,
        status=STATUSES.value(row.status),
        grounded=row.grounded,
        citations=[Citation(**fields) for fields in row.citations or ()],
        create_time=to_timestamp(row.created_at),
        update_time=to_timestamp(row.updated_at),
    )


def to_chat(row: ChatRow | ChatWithLastMessageRow) -> Chat:
    """Returns the proto message of a chat, with its last message if the row has one."""
    last = row.last_message if isinstance(row, ChatWithLastMessageRow) else None
    return Chat(
        user_id=row.user_id,
        chat_id=row.chat_id,
        source=SOURCES.value(row.source),
        class_id=row.class_id or "",
        content_id=row.content_id or "",
        title=row.title,
        last_message=to_message(last) if last is not None else None,
        create_time=to_timestamp(row.created_at),
        update_time=to_timestamp(row.updated_at),
    )
