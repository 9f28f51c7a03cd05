"""An administrator who looks after models."""

import asyncio
from typing import Any

import grpc

from chassis.testing import refusal
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1 import admin_service_pb2 as admin

OPENAI = admin.MODEL_PROVIDER_OPENAI


class Models:
    """What a test does with models all the time, in an administrator's name."""

    def __init__(self, identity: Identity, person: Person) -> None:
        self.identity = identity
        self.person = person
        self.stub = identity.admin

    async def backend(self, name: str = "OpenAI", **fields: Any) -> admin.ModelBackend:
        request = admin.CreateModelBackendRequest(name=name, **{"provider": OPENAI, **fields})
        return await self.stub.CreateModelBackend(request, **self.person.auth)

    async def model(self, backend: admin.ModelBackend, name: str = "gpt-5.2", **fields: Any) -> admin.Model:
        request = admin.CreateModelRequest(backend_id=backend.backend_id, model_name=name, **fields)
        return await self.stub.CreateModel(request, **self.person.auth)

    async def use(self, model: admin.Model, component: str = "QUIZ_GENERATOR") -> admin.ComponentModel:
        chosen = admin.ModelComponent.Value(f"MODEL_COMPONENT_{component}")
        request = admin.SetComponentModelRequest(component=chosen, model_id=model.model_id)
        return await self.stub.SetComponentModel(request, **self.person.auth)

    async def call(self, rpc: str, request: Any) -> Any:
        return await getattr(self.stub, rpc)(request, **self.person.auth)

    async def every(self, rpc: str, request: Any, field: str) -> list[Any]:
        """All pages of a list."""
        found: list[Any] = []
        while True:
            page = await self.call(rpc, request)
            assert len(getattr(page, field)) <= (request.page_size or 50)
            found += getattr(page, field)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def audited(self) -> list[tuple[str, str, dict[str, str]]]:
        """What was done to models, newest first: the action, the resource and the details."""
        entries = await self.identity.audited(self.person)
        return [
            (AuditAction.Name(one.action).removeprefix("AUDIT_ACTION_"), one.resource_id, dict(one.details))
            for one in entries
            if "MODEL" in AuditAction.Name(one.action)
        ]


async def outcomes(*calls: Any) -> tuple[list[Any], list[str]]:
    """What succeeded of calls made at once, and why the others were refused."""
    done: list[Any] = []
    denials: list[str] = []
    for one in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(one, grpc.aio.AioRpcError):
            denials.append(refusal(one).reason)
        else:
            done.append(one)
    return done, sorted(denials)
