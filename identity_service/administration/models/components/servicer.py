"""The RPCs of AdminService for component models."""

from chassis import paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service.administration.models.components import commands, rules, store
from identity_service.administration.models.components.messages import (
    COMPONENTS,
    to_message,
    to_resolved_model,
)
from meno.identity.v1.admin_service_pb2 import (
    ListComponentModelsRequest,
    ListComponentModelsResponse,
    ResolveModelRequest,
    SetComponentModelRequest,
)
from meno.identity.v1.resources_pb2 import ComponentModel, ResolvedModel


class ComponentServicer:
    """Serves the assignment of models to components."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListComponentModels(
        self, request: ListComponentModelsRequest, context: Context
    ) -> ListComponentModelsResponse:
        # Components exist only in code, so the position in their list is the page key.
        (after,) = paging.decode_page_token(request, (0,))
        by_component = {row.component: row for row in await store.list_all(self._database)}
        rows = [by_component[name] for name in rules.COMPONENTS[after:] if name in by_component]
        rows, next_page_token = paging.page(request, rows, lambda row: (rules.POSITIONS[row.component],))
        return ListComponentModelsResponse(
            component_models=map(to_message, rows), next_page_token=next_page_token
        )

    async def SetComponentModel(self, request: SetComponentModelRequest, context: Context) -> ComponentModel:
        component = COMPONENTS.name(request.component)
        async with write(self._database) as transaction:
            row = await commands.set_model(transaction, component, request.model_id, caller().user_id)
            return transaction.respond(to_message(row))

    async def ResolveModel(self, request: ResolveModelRequest, context: Context) -> ResolvedModel:
        component = COMPONENTS.name(request.component)
        return to_resolved_model(await commands.resolve_model(self._database, component))
