"""Maps model backends to and from the messages of the contract."""

from datetime import timedelta
from typing import Any

from chassis import etags, field_masks
from chassis.conversions import EnumCodec, to_timestamp
from identity_service.administration.models.backends.types import BackendFields, BackendRow, ProbeResult
from meno.identity.v1.admin_service_pb2 import CreateModelBackendRequest, UpdateModelBackendRequest
from meno.identity.v1.resources_pb2 import ModelBackend, ModelBackendTest, ModelProvider

PROVIDERS = EnumCodec(ModelProvider, spelling=str.lower)

_UPDATABLE = tuple(name for name in BackendFields._fields if name != "provider")


def to_message(row: BackendRow, purge_days: int = 0) -> ModelBackend:
    """Returns the backend of a row.

    `purge_days` is the number of days between deletion and purge; it is needed only for deleted backends.
    """
    purged_at = row.deleted_at + timedelta(days=purge_days) if row.deleted_at else None
    return ModelBackend(
        backend_id=row.backend_id,
        name=row.name,
        provider=PROVIDERS.value(row.provider),
        base_url=row.base_url,
        key_reference=row.key_reference,
        enabled=row.enabled,
        create_time=to_timestamp(row.created_at),
        update_time=to_timestamp(row.updated_at),
        delete_time=to_timestamp(row.deleted_at),
        purge_time=to_timestamp(purged_at),
        etag=etags.etag(row.version),
    )


def to_test(result: ProbeResult) -> ModelBackendTest:
    """Returns the result of a test."""
    test = ModelBackendTest(
        reachable=not result.problem, problem=result.problem, model_names=result.model_names
    )
    test.latency.FromTimedelta(timedelta(seconds=result.latency_seconds))
    return test


def to_fields(request: CreateModelBackendRequest) -> BackendFields:
    """Returns the fields of a new backend."""
    provider = PROVIDERS.name(request.provider)
    return BackendFields(request.name, provider, request.base_url, request.key_reference)


def read_changes(request: UpdateModelBackendRequest) -> dict[str, Any]:
    """Returns the fields that an update changes: those of the mask, or else the non-empty ones (AIP-134)."""
    return field_masks.changes(request.backend, request.update_mask, _UPDATABLE)
