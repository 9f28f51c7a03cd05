"""The errors that readers and writers of an answer report to the caller."""

import grpc
import psycopg
from google.rpc.status_pb2 import Status

from chassis.database import Executor
from chassis.errors import Internal, to_status_error
from chassis.telemetry import get_logger
from chat_service.answers.types import AnswerKey
from chat_service.chats import store as chats
from chat_service.errors import AnswerInterrupted, ChatNotFound, MessageNotFound, ModelFailed, NotClassMember
from chat_service.tutors.types import TutorFailed

log = get_logger()


def to_status(error: Exception, class_id: str | None, request_id: str) -> Status:
    """Returns the status that the stream of an answer ends with after an error of its writer."""
    if isinstance(error, TutorFailed | TimeoutError):
        log.warning("model_failed", error=repr(error), request_id=request_id)
        return ModelFailed().status()
    if isinstance(error, psycopg.Error):
        log.warning("answer_interrupted", error=repr(error), request_id=request_id)
        return AnswerInterrupted().status()
    if class_id and isinstance(error, grpc.aio.AioRpcError) and _is_denied(error):
        return NotClassMember(class_id).status()
    status_error = to_status_error(error)
    if status_error is not None:
        return status_error.status
    log.error("answer_failed", request_id=request_id, exc_info=error)
    return Internal(request_id).status()


async def not_found(executor: Executor, key: AnswerKey) -> ChatNotFound | MessageNotFound:
    """Returns the error for an answer that does not exist: its chat is missing, or only the answer is."""
    if await chats.exists(executor, key.user_id, key.chat_id):
        return MessageNotFound(key.message_id)
    return ChatNotFound(key.chat_id)


def _is_denied(error: grpc.aio.AioRpcError) -> bool:
    return error.code() == grpc.StatusCode.PERMISSION_DENIED
