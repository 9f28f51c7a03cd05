"""An administrator who manages models."""

import asyncio
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.testing import parse_error, read_pages
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1 import admin_service_pb2 as admin
from meno.identity.v1 import resources_pb2 as resources

OPENAI = resources.MODEL_PROVIDER_OPENAI


def update_backend(
    backend: resources.ModelBackend, etag: str = "", **fields: Any
) -> admin.UpdateModelBackendRequest:
    """Returns a request that changes exactly these fields."""
    return admin.UpdateModelBackendRequest(
        backend_id=backend.backend_id,
        backend=resources.ModelBackend(**fields),
        update_mask=FieldMask(paths=[*fields]),
        etag=etag,
    )


def update_model(model: resources.Model, etag: str = "", **fields: Any) -> admin.UpdateModelRequest:
    """Returns a request that changes exactly these fields."""
    return admin.UpdateModelRequest(
        model_id=model.model_id,
        model=resources.Model(**fields),
        update_mask=FieldMask(paths=[*fields]),
        etag=etag,
    )


class Models:
    """Calls of AdminService in the name of an administrator."""

    def __init__(self, identity: Identity, person: Person) -> None:
        self.identity = identity
        self.person = person
        self.stub = identity.admin

    async def create_backend(self, name: str = "OpenAI", **fields: Any) -> resources.ModelBackend:
        request = admin.CreateModelBackendRequest(name=name, **{"provider": OPENAI, **fields})
        return await self.stub.CreateModelBackend(request, **self.person.auth)

    async def create_model(
        self, backend: resources.ModelBackend, name: str = "gpt-5.2", **fields: Any
    ) -> resources.Model:
        request = admin.CreateModelRequest(backend_id=backend.backend_id, model_name=name, **fields)
        return await self.stub.CreateModel(request, **self.person.auth)

    async def delete_backend(self, backend: resources.ModelBackend) -> resources.ModelBackend:
        request = admin.DeleteModelBackendRequest(backend_id=backend.backend_id)
        return await self.stub.DeleteModelBackend(request, **self.person.auth)

    async def undelete_backend(self, backend: resources.ModelBackend) -> resources.ModelBackend:
        request = admin.UndeleteModelBackendRequest(backend_id=backend.backend_id)
        return await self.stub.UndeleteModelBackend(request, **self.person.auth)

    async def delete_model(self, model: resources.Model) -> resources.Model:
        request = admin.DeleteModelRequest(model_id=model.model_id)
        return await self.stub.DeleteModel(request, **self.person.auth)

    async def undelete_model(self, model: resources.Model) -> resources.Model:
        request = admin.UndeleteModelRequest(model_id=model.model_id)
        return await self.stub.UndeleteModel(request, **self.person.auth)

    async def assign(
        self, model: resources.Model, component: str = "QUIZ_GENERATOR"
    ) -> resources.ComponentModel:
        value = resources.ModelComponent.Value(f"MODEL_COMPONENT_{component}")
        request = admin.SetComponentModelRequest(component=value, model_id=model.model_id)
        return await self.stub.SetComponentModel(request, **self.person.auth)

    async def call(self, rpc: str, request: Any) -> Any:
        return await getattr(self.stub, rpc)(request, **self.person.auth)

    async def list_all(self, rpc: str, request: Any, field: str) -> list[Any]:
        """Returns the items of all pages."""
        found: list[Any] = []
        async for page in read_pages(getattr(self.stub, rpc), request, **self.person.auth):
            assert len(getattr(page, field)) <= (request.page_size or 50)
            found += getattr(page, field)
        return found

    async def list_audited(self) -> list[tuple[str, str, dict[str, str]]]:
        """Returns the audited changes of models, newest first: action, resource and details."""
        entries = await self.identity.list_audited(self.person)
        return [
            (
                AuditAction.Name(item.action).removeprefix("AUDIT_ACTION_"),
                item.resource_id,
                dict(item.details),
            )
            for item in entries
            if "MODEL" in AuditAction.Name(item.action)
        ]


async def outcomes(*calls: Any) -> tuple[list[Any], list[str]]:
    """Runs calls concurrently. Returns the results of those that succeed and the sorted reasons of the others."""
    done: list[Any] = []
    denials: list[str] = []
    for item in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(item, grpc.aio.AioRpcError):
            denials.append(parse_error(item).reason)
        else:
            done.append(item)
    return done, sorted(denials)
