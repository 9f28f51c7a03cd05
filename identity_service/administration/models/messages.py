"""Maps models to and from the messages of the contract."""

from datetime import timedelta
from typing import Any

from chassis import etags, field_masks
from chassis.conversions import to_timestamp
from identity_service.administration.models import rules
from identity_service.administration.models.types import ModelFields, ModelRow
from meno.identity.v1.admin_service_pb2 import CreateModelRequest, UpdateModelRequest
from meno.identity.v1.resources_pb2 import Model


def to_message(row: ModelRow, purge_days: int = 0) -> Model:
    """Returns the model of a row.

    `purge_days` is the number of days between deletion and purge; it is needed only for deleted models.
    """
    purged_at = row.deleted_at + timedelta(days=purge_days) if row.deleted_at else None
    return Model(
        model_id=row.model_id,
        backend_id=row.backend_id,
        model_name=row.model_name,
        temperature=row.temperature,
        max_output_tokens=row.max_output_tokens,
        create_time=to_timestamp(row.created_at),
        update_time=to_timestamp(row.updated_at),
        delete_time=to_timestamp(row.deleted_at),
        purge_time=to_timestamp(purged_at),
        etag=etags.etag(row.version),
    )


def to_fields(request: CreateModelRequest) -> ModelFields:
    """Returns the fields of a new model, with defaults for those that are not set."""
    # 0 is a valid temperature, so presence decides; 0 output tokens are not valid.
    temperature = request.temperature if request.HasField("temperature") else rules.DEFAULT_TEMPERATURE
    max_output_tokens = request.max_output_tokens or rules.DEFAULT_MAX_OUTPUT_TOKENS
    return ModelFields(request.model_name, temperature, max_output_tokens)


def read_changes(request: UpdateModelRequest) -> dict[str, Any]:
    """Returns the fields that an update changes: those of the mask, or else the non-empty ones (AIP-134)."""
    return field_masks.changes(request.model, request.update_mask, ModelFields._fields)
