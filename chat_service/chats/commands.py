"""Use cases of chats."""

import grpc

from chassis import peers
from chassis.calls import caller
from chassis.database import Database
from chassis.errors import AccessDenied, DomainError
from chassis.idempotency import replay, write
from chat_service.chats import messages, rules, store
from chat_service.chats.types import NewChat
from chat_service.content import GetContent
from meno.chat.v1.resources_pb2 import Chat
from meno.content.v1.content_service_pb2 import GetContentRequest
from meno.content.v1.resources_pb2 import Content as Lesson


async def create_chat(database: Database, get_content: GetContent, chat: NewChat, quota: int) -> Chat:
    """Creates a chat. A lesson chat without a title takes the title of its lesson.

    Raises AccessDenied if the caller is not in the class, FieldInvalid if the content is not a lesson, and
    AioRpcError if content_service does not return the content. Raises QuotaExceeded if the user has created
    `quota` chats in 24 hours.
    """
    try:
        title = rules.chat_title(chat.title, await _get_lesson(get_content, chat))
    except (DomainError, grpc.aio.AioRpcError):
        # A repeated request gets its first response, even if the lesson has changed or is gone.
        await replay(database)
        raise
    async with write(database) as transaction:
        row = await store.add(transaction, chat._replace(title=title), quota)
        return transaction.respond(messages.to_chat(row))


async def _get_lesson(get_content: GetContent, chat: NewChat) -> Lesson | None:
    if chat.class_id and caller().role_in(chat.class_id) is None:
        raise AccessDenied()
    if not chat.content_id:
        return None
    request = GetContentRequest(class_id=chat.class_id or "", content_id=chat.content_id)
    return await get_content(request, **peers.forwarded())
