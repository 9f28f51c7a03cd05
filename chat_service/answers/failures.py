"""Why the writing of an answer failed, as its reader is told."""

import grpc
import psycopg
import structlog
from google.rpc.status_pb2 import Status

from chassis.errors import Internal, refusal
from chassis.models.tutors import TutorFailed
from chat_service.errors import AnswerInterrupted, ClassLeft, ModelFailed

log = structlog.get_logger()


def failure(error: Exception, class_id: str | None, request_id: str) -> Status:
    """The status with which an answer's stream ends after an error."""
    if isinstance(error, TutorFailed | TimeoutError):
        log.warning("model_failed", error=repr(error), request_id=request_id)
        return ModelFailed().status()
    if isinstance(error, psycopg.Error):
        log.warning("answer_interrupted", error=repr(error), request_id=request_id)
        return AnswerInterrupted().status()
    if class_id and isinstance(error, grpc.aio.AioRpcError) and _denied(error):
        return ClassLeft(class_id).status()
    refused = refusal(error)
    if refused is not None:
        return refused.status
    log.error("answer_failed", request_id=request_id, exc_info=error)
    return Internal(request_id).status()


def _denied(error: grpc.aio.AioRpcError) -> bool:
    return error.code() == grpc.StatusCode.PERMISSION_DENIED
