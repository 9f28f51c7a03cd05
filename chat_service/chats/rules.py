"""Rules of chats."""

from collections.abc import Iterable

from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import FieldInvalid
from meno.content.v1.content_service_pb2 import Content, ContentKind

LARGEST_PAGE = 2 * 1024 * 1024
"""Bytes of a page, above which it ends early; a message of gRPC holds 4 MiB."""


def title(given: str, lesson: Content | None) -> str:
    """What a new chat is called. Raises FieldInvalid where the content is no lesson."""
    if lesson is not None and lesson.kind != ContentKind.CONTENT_KIND_LESSON:
        raise FieldInvalid(
            BadRequest.FieldViolation(
                field="content_id", description="must name a lesson", reason="create_chat.lesson"
            )
        )
    return given or (lesson.title if lesson is not None else "")


def fitting(sizes: Iterable[int]) -> int:
    """How many rows of these sizes, in bytes, a page holds: at least one."""
    room = LARGEST_PAGE
    count = 0
    for size in sizes:
        room -= size
        if room < 0:
            break
        count += 1
    return max(count, 1)
