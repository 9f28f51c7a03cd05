"""Materials over gRPC: uploads, processing as a teacher sees it, attachments, passages."""

import asyncio
import uuid

import pytest

from chassis.testing import refused
from content_service.tests.conftest import PHOTOSYNTHESIS, ContentService
from meno.content.v1.material_service_pb2 import (
    DetachMaterialRequest,
    FailureReason,
    GetChunkRequest,
    GetMaterialRequest,
    ProcessingStage,
    ProcessingStatus,
    RetryProcessingRequest,
    WatchMaterialRequest,
)

READY = ProcessingStatus.PROCESSING_STATUS_READY
FAILED = ProcessingStatus.PROCESSING_STATUS_FAILED


async def test_an_uploaded_file_becomes_ready(content: ContentService) -> None:
    teacher = content.teacher()
    uploaded = await content.upload(teacher, PHOTOSYNTHESIS, "plants.md")
    assert (uploaded.status, uploaded.stage) == (
        ProcessingStatus.PROCESSING_STATUS_PENDING,
        ProcessingStage.PROCESSING_STAGE_QUEUED,
    )
    assert (uploaded.title, uploaded.file.file_name) == ("plants", "plants.md")
    assert uploaded.file.size_bytes == len(PHOTOSYNTHESIS)
    ready = await content.outcome(teacher, uploaded.material_id)
    assert (ready.status, ready.stage, ready.progress_percent) == (
        READY,
        ProcessingStage.PROCESSING_STAGE_READY,
        100,
    )
    assert ready.chunk_count == 1
