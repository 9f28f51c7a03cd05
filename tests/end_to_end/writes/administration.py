"""Writes of administrators to configuration and models."""

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
    # The etag makes a second effect fail. The value is the current one, so other tests are not affected.
    request = admin.SetConfigEntryRequest(key=key, value=entry.value, etag=entry.etag)
    return (stub.SetConfigEntry, request, person), None


async def _new_backend(installation: Installation) -> tuple[Any, Any, identity_resources.ModelBackend]:
    """Creates an administrator and a backend. Returns a stub, the administrator and the backend."""
    person = await installation.create_admin()
    stub = AdminServiceStub(installation.channel)
    request = admin.CreateModelBackendRequest(
        name=new_id(), provider=identity_resources.MODEL_PROVIDER_OPENAI
    )
    return stub, person, await stub.CreateModelBackend(request, **person.auth)


async def _new_model(installation: Installation) -> tuple[Any, Any, identity_resources.Model]:
    stub, person, backend = await _new_backend(installation)
    request = admin.CreateModelRequest(backend_id=backend.backend_id, model_name="small")
    return stub, person, await stub.CreateModel(request, **person.auth)


@CASES.of("CreateModelBackend")
async def _create_backend(installation: Installation) -> Any:
    stub, person, _ = await _new_backend(installation)

    async def count() -> int:
        listed = await stub.ListModelBackends(admin.ListModelBackendsRequest(page_size=1000), **person.auth)
        return len(listed.backends)

    request = admin.CreateModelBackendRequest(
        name=new_id(), provider=identity_resources.MODEL_PROVIDER_OPENAI
    )
    return (stub.CreateModelBackend, request, person), count


@CASES.of("UpdateModelBackend")
async def _update_backend(installation: Installation) -> Any:
    stub, person, backend = await _new_backend(installation)
    # The etag makes a second effect fail.
    request = admin.UpdateModelBackendRequest(
        backend_id=backend.backend_id,
        backend=identity_resources.ModelBackend(enabled=False),
        update_mask=FieldMask(paths=["enabled"]),
        etag=backend.etag,
    )
    return (stub.UpdateModelBackend, request, person), None


@CASES.of("DeleteModelBackend")
async def _delete_backend(installation: Installation) -> Any:
    stub, person, backend = await _new_backend(installation)
    request = admin.DeleteModelBackendRequest(backend_id=backend.backend_id)
    return (stub.DeleteModelBackend, request, person), None


@CASES.of("UndeleteModelBackend")
async def _undelete_backend(installation: Installation) -> Any:
    stub, person, backend = await _new_backend(installation)
    ids = {"backend_id": backend.backend_id}
    await stub.DeleteModelBackend(admin.DeleteModelBackendRequest(**ids), **person.auth)
    return (stub.UndeleteModelBackend, admin.UndeleteModelBackendRequest(**ids), person), None


@CASES.of("CreateModel")
async def _create_model(installation: Installation) -> Any:
    stub, person, backend = await _new_backend(installation)

    async def count() -> int:
        listed = await stub.ListModels(admin.ListModelsRequest(page_size=1000), **person.auth)
        return len(listed.models)

    request = admin.CreateModelRequest(backend_id=backend.backend_id, model_name="small")
    return (stub.CreateModel, request, person), count


@CASES.of("UpdateModel")
async def _update_model(installation: Installation) -> Any:
    stub, person, model = await _new_model(installation)
    request = admin.UpdateModelRequest(
        model_id=model.model_id,
        model=identity_resources.Model(temperature=0),
        update_mask=FieldMask(paths=["temperature"]),
        etag=model.etag,
    )
    return (stub.UpdateModel, request, person), None


@CASES.of("DeleteModel")
async def _delete_model(installation: Installation) -> Any:
    stub, person, model = await _new_model(installation)
    return (stub.DeleteModel, admin.DeleteModelRequest(model_id=model.model_id), person), None


@CASES.of("UndeleteModel")
async def _undelete_model(installation: Installation) -> Any:
    stub, person, model = await _new_model(installation)
    ids = {"model_id": model.model_id}
    await stub.DeleteModel(admin.DeleteModelRequest(**ids), **person.auth)
    return (stub.UndeleteModel, admin.UndeleteModelRequest(**ids), person), None


@CASES.of("SetComponentModel")
async def _set_component(installation: Installation) -> Any:
    stub, person, model = await _new_model(installation)
    component = identity_resources.MODEL_COMPONENT_EVAL_SIMULATOR
    request = admin.SetComponentModelRequest(component=component, model_id=model.model_id)
    return (stub.SetComponentModel, request, person), None
