"""Rules of chats."""

from chassis.errors import FieldInvalid
from meno.content.v1.resources_pb2 import Content, ContentKind


def chat_title(requested: str, lesson: Content | None) -> str:
    """Returns the title of a new chat: the requested title, else the title of the lesson.

    Raises FieldInvalid if the content of a lesson chat is not a lesson.
    """
    if lesson is not None and lesson.kind != ContentKind.CONTENT_KIND_LESSON:
        raise FieldInvalid.of("content_id", "must identify a lesson", "create_chat.lesson")
    return requested or (lesson.title if lesson is not None else "")
