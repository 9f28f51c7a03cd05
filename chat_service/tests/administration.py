"""identity_service, as far as it tells which model a component uses: a real server of its contract."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.calls import Context
from chassis.errors import DomainError
from chassis.server import App, served
from chassis.testing import House
from chat_service.tutors.configured import Resolve
from meno.identity.v1 import admin_service_pb2 as admin
from meno.identity.v1 import admin_service_pb2_grpc as admin_grpc
from meno.identity.v1.errors_pb2 import ErrorReason

BUILTIN = admin.ResolvedModel(provider=admin.MODEL_PROVIDER_BUILTIN, model_name="extractive")


class IdentityRefusal(DomainError, contract=ErrorReason):
    """A refusal of identity_service."""


class ComponentNotConfigured(IdentityRefusal):
    def __init__(self) -> None:
        super().__init__("The component has no model, or one that is switched off.", component="TUTOR")


class _Servicer(admin_grpc.AdminServiceServicer):
    """Asks its administration; the other RPCs are nobody's here."""

    def __init__(self, administration: "Administration") -> None:
        self._administration = administration

    async def ResolveModel(self, request: admin.ResolveModelRequest, context: Context) -> admin.ResolvedModel:
        return await self._administration.tell(request)


class Administration:
    """What it answers, and how often it was asked."""

    def __init__(self) -> None:
        self.answer: admin.ResolvedModel | Exception = BUILTIN
        self.asked = 0
        self.waits = asyncio.Event()
        """Answers wait until it is set, as it is at first."""
        self.waits.set()
        self.heard = asyncio.Event()
        """Set by every question."""
        self.resolve: Resolve

    async def tell(self, request: admin.ResolveModelRequest) -> admin.ResolvedModel:
        assert request.component == admin.MODEL_COMPONENT_TUTOR
        self.asked += 1
        self.heard.set()
        await self.waits.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@asynccontextmanager
async def administration(house: House) -> AsyncIterator[Administration]:
    """Runs one, as chat_service sees it."""
    running = Administration()
    async with house.guard() as guard:
        app = App([served(admin, admin_grpc, _Servicer(running))], guard)  # type: ignore[abstract]
        async with house.serve(app, "identity_service") as serving:
            running.resolve = admin_grpc.AdminServiceStub(serving.channel("chat_service")).ResolveModel
            yield running
