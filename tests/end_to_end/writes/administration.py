"""The writes of administrators to configuration and models."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from meno.identity.v1 import admin_service_pb2 as admin
from meno.identity.v1 import resources_pb2 as identity_resources
from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub
from tests.end_to_end.writes.case import Cases
from tests.installation import Installation, new_id

CASES = Cases()


@CASES.of("SetConfigEntry")
async def _set_config_entry(installation: Installation) -> Any:
    person = await installation.create_admin()
    stub = AdminServiceStub(installation.channel)
    key = "guest_purge_days"
    entry = await stub.GetConfigEntry(admin.GetConfigEntryRequest(key=key), **person.auth)
    # With the etag that was read, a second effect would be refused. The value is the one that holds.
    request = admin.SetConfigEntryRequest(key=key, value=entry.value, etag=entry.etag)
    return (stub.SetConfigEntry, request, person), None


async def _backend(installation: Installation) -> tuple[Any, Any, identity_resources.ModelBackend]:
    """An administrator's stub, who they are, and a backend of theirs."""
    person = await installation.create_admin()
    stub = AdminServiceStub(installation.channel)
    request = admin.CreateModelBackendRequest(
        name=new_id(), provider=identity_resources.MODEL_PROVIDER_OPENAI
    )
    return stub, person, await stub.CreateModelBackend(request, **person.auth)


async def _model(installation: Installation) -> tuple[Any, Any, identity_resources.Model]:
    stub, person, backend = await _backend(installation)
    request = admin.CreateModelRequest(backend_id=backend.backend_id, model_name="small")
    return stub, person, await stub.CreateModel(request, **person.auth)


@CASES.of("CreateModelBackend")
async def _create_backend(installation: Installation) -> Any:
    stub, person, _ = await _backend(installation)

    async def count() -> int:
        listed = await stub.ListModelBackends(admin.ListModelBackendsRequest(page_size=1000), **person.auth)
        return len(listed.backends)

    request = admin.CreateModelBackendRequest(
        name=new_id(), provider=identity_resources.MODEL_PROVIDER_OPENAI
    )
    return (stub.CreateModelBackend, request, person), count


@CASES.of("UpdateModelBackend")
async def _update_backend(installation: Installation) -> Any:
    stub, person, made = await _backend(installation)
    # With the etag that was read, a second effect would be refused.
    request = admin.UpdateModelBackendRequest(
        backend_id=made.backend_id,
        backend=identity_resources.ModelBackend(enabled=False),
        update_mask=FieldMask(paths=["enabled"]),
        etag=made.etag,
    )
    return (stub.UpdateModelBackend, request, person), None


@CASES.of("DeleteModelBackend")
async def _delete_backend(installation: Installation) -> Any:
    stub, person, made = await _backend(installation)
    request = admin.DeleteModelBackendRequest(backend_id=made.backend_id)
    return (stub.DeleteModelBackend, request, person), None


@CASES.of("CreateModel")
async def _create_model(installation: Installation) -> Any:
    stub, person, backend = await _backend(installation)

    async def count() -> int:
        listed = await stub.ListModels(admin.ListModelsRequest(page_size=1000), **person.auth)
        return len(listed.models)

    request = admin.CreateModelRequest(backend_id=backend.backend_id, model_name="small")
    return (stub.CreateModel, request, person), count


@CASES.of("UpdateModel")
async def _update_model(installation: Installation) -> Any:
    stub, person, made = await _model(installation)
    request = admin.UpdateModelRequest(
        model_id=made.model_id,
        model=identity_resources.Model(temperature=0),
        update_mask=FieldMask(paths=["temperature"]),
        etag=made.etag,
    )
    return (stub.UpdateModel, request, person), None


@CASES.of("DeleteModel")
async def _delete_model(installation: Installation) -> Any:
    stub, person, made = await _model(installation)
    return (stub.DeleteModel, admin.DeleteModelRequest(model_id=made.model_id), person), None


@CASES.of("SetComponentModel")
async def _set_component(installation: Installation) -> Any:
    stub, person, made = await _model(installation)
    component = identity_resources.MODEL_COMPONENT_EVAL_SIMULATOR
    request = admin.SetComponentModelRequest(component=component, model_id=made.model_id)
    return (stub.SetComponentModel, request, person), None
