"""Rules of chats."""

from chassis.errors import FieldInvalid
from meno.content.v1.content_service_pb2 import Content, ContentKind


def title(given: str, lesson: Content | None) -> str:
    """What a new chat is called. Raises FieldInvalid where the content is no lesson."""
    if lesson is not None and lesson.kind != ContentKind.CONTENT_KIND_LESSON:
        raise FieldInvalid.of("content_id", "must name a lesson", "create_chat.lesson")
    return given or (lesson.title if lesson is not None else "")
