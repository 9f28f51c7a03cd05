"""The part of AdminService that is about which component uses which model."""

from chassis import audit, paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from identity_service.administration.models import component_store as store
from identity_service.administration.models import model_store, rules
from identity_service.administration.models.backends import PROVIDERS
from identity_service.administration.models.component_store import ComponentRow
from identity_service.errors import ComponentNotConfigured, ModelNotFound
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.admin_service_pb2 import (
    ComponentModel,
    ListComponentModelsRequest,
    ListComponentModelsResponse,
    ModelComponent,
    ResolvedModel,
    ResolveModelRequest,
    SetComponentModelRequest,
)

_COMPONENTS = Spelling(ModelComponent)
_PLACES = {component: place for place, component in enumerate(rules.COMPONENTS, start=1)}


class ComponentServicer:
    """What models are used for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListComponentModels(
        self, request: ListComponentModelsRequest, context: Context
    ) -> ListComponentModelsResponse:
        (after,) = paging.position(request, (0,))
        by_component = {row.component: row for row in await store.every(self._database)}
        rows = [by_component[name] for name in rules.COMPONENTS[after:] if name in by_component]
        shown, following = paging.page(request, rows, lambda row: (_PLACES[row.component],))
        return ListComponentModelsResponse(component_models=map(_component, shown), next_page_token=following)

    async def SetComponentModel(self, request: SetComponentModelRequest, context: Context) -> ComponentModel:
        component = _COMPONENTS.text(request.component)
        async with write(self._database) as transaction:
            if not await model_store.held(transaction, request.model_id):
                raise ModelNotFound(request.model_id)
            row = await store.put(transaction, component, request.model_id, caller().user_id)
            await audit.record(
                transaction,
                AuditAction.AUDIT_ACTION_COMPONENT_MODEL_SET,
                resource_id=row.model_id,
                component=component,
            )
            return transaction.answer(_component(row))

    async def ResolveModel(self, request: ResolveModelRequest, context: Context) -> ResolvedModel:
        component = _COMPONENTS.text(request.component)
        row = await store.resolve(self._database, component)
        if row is None:
            raise ComponentNotConfigured(component)
        return ResolvedModel(
            provider=PROVIDERS.number(row.provider),
            base_url=row.base_url,
            key_reference=row.key_reference,
            model_name=row.model_name,
            temperature=row.temperature,
            max_output=row.max_output,
        )


def _component(row: ComponentRow) -> ComponentModel:
    return ComponentModel(
        component=_COMPONENTS.number(row.component),
        model_id=row.model_id,
        description=rules.DESCRIPTIONS[row.component],
        update_time=timestamp(row.updated_at),
        update_user_id=row.updated_by_user_id or "",
    )
