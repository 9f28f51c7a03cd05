"""Conversions from rows of materials to messages."""

from google.protobuf.json_format import ParseDict

from chassis import etags
from chassis.conversions import EnumCodec, to_timestamp
from content_service.materials.types import MaterialRow
from meno.content.v1.resources_pb2 import (
    ContentBody,
    FailureReason,
    Material,
    ProcessingStage,
    ProcessingStatus,
)

STATUSES = EnumCodec(ProcessingStatus)
STAGES = EnumCodec(ProcessingStage)
REASONS = EnumCodec(FailureReason)


def to_message(row: MaterialRow) -> Material:
    """Returns the message of a material."""
    reason = row.failure_reason
    return Material(
        class_id=row.scope_id,
        material_id=row.material_id,
        revision_id=row.revision_id,
        title=row.title,
        file=ParseDict(row.body, ContentBody()).material,
        status=STATUSES.value(row.status),
        stage=STAGES.value(row.stage),
        progress_percent=row.progress,
        failure_reason=REASONS.value(reason) if reason else FailureReason.FAILURE_REASON_UNSPECIFIED,
        failure_message=row.failure_message,
        chunk_count=row.chunk_count,
        page_count=row.page_count,
        create_time=to_timestamp(row.created_at),
        update_time=to_timestamp(row.updated_at),
        etag=etags.etag(row.version),
    )
