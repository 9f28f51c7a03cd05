"""Maps component models to the messages of the contract."""

from chassis.conversions import EnumCodec, to_timestamp
from identity_service.administration.models.backends.messages import PROVIDERS
from identity_service.administration.models.components import rules
from identity_service.administration.models.components.types import ComponentRow, ResolvedRow
from meno.identity.v1.resources_pb2 import ComponentModel, ModelComponent, ResolvedModel

COMPONENTS = EnumCodec(ModelComponent, spelling=str.lower)


def to_message(row: ComponentRow) -> ComponentModel:
    """Returns the component model of a row."""
    return ComponentModel(
        component=COMPONENTS.value(row.component),
        model_id=row.model_id,
        description=rules.DESCRIPTIONS[row.component],
        update_time=to_timestamp(row.updated_at),
        update_user_id=row.updated_by_user_id or "",
    )


def to_resolved_model(row: ResolvedRow) -> ResolvedModel:
    """Returns the model of a component, with its backend."""
    return ResolvedModel(
        provider=PROVIDERS.value(row.provider),
        base_url=row.base_url,
        key_reference=row.key_reference,
        model_name=row.model_name,
        temperature=row.temperature,
        max_output_tokens=row.max_output_tokens,
    )
