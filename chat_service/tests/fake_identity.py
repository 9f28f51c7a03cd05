"""A fake identity_service: a real server on which only AdminService.ResolveModel is implemented."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chassis import contracts
from chassis.calls import Context
from chassis.errors import DomainError
from chassis.registration import ServiceRegistration
from chassis.server import App
from chassis.testing import TestEnvironment
from chat_service.tutors.configured import Resolve
from meno.identity.v1 import admin_service_pb2 as admin
from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub
from meno.identity.v1.errors_pb2 import ErrorReason
from meno.identity.v1.resources_pb2 import MODEL_COMPONENT_TUTOR, MODEL_PROVIDER_BUILTIN, ResolvedModel

BUILTIN = ResolvedModel(provider=MODEL_PROVIDER_BUILTIN, model_name="extractive")


class IdentityError(DomainError, contract=ErrorReason):
    """Base class of the errors of identity_service."""


class ComponentNotConfigured(IdentityError):
    def __init__(self) -> None:
        super().__init__("No model is configured for this component.", component="TUTOR")


class FakeIdentity:
    """Sets the response of ResolveModel and counts its calls."""

    def __init__(self) -> None:
        self.response: ResolvedModel | Exception = BUILTIN
        self.calls = 0
        self.unblocked = asyncio.Event()
        """Calls wait until it is set. It is set initially."""
        self.unblocked.set()
        self.called = asyncio.Event()
        """Each call sets it."""
        self.resolve: Resolve

    async def ResolveModel(self, request: admin.ResolveModelRequest, context: Context) -> ResolvedModel:
        assert request.component == MODEL_COMPONENT_TUTOR
        self.calls += 1
        self.called.set()
        await self.unblocked.wait()
        if isinstance(self.response, Exception):
            raise self.response
        return self.response


@asynccontextmanager
async def serve_identity(env: TestEnvironment) -> AsyncIterator[FakeIdentity]:
    """Runs the server and connects to it as chat_service."""
    fake = FakeIdentity()
    descriptor = admin.DESCRIPTOR.services_by_name["AdminService"]
    methods = {method.name: _unimplemented for method in contracts.methods(descriptor)}
    registration = ServiceRegistration(descriptor, {**methods, "ResolveModel": fake.ResolveModel})
    async with (
        env.security() as security,
        env.serve(App([registration], security), "identity_service") as service,
    ):
        fake.resolve = AdminServiceStub(service.channel("chat_service")).ResolveModel
        yield fake


async def _unimplemented(request: Any, context: Context) -> Any:
    raise NotImplementedError
