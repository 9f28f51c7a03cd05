"""Value types of component models."""

from datetime import datetime
from typing import NamedTuple


class ComponentRow(NamedTuple):
    """The model that a component uses."""

    component: str
    model_id: str
    updated_at: datetime
    updated_by_user_id: str | None


class ResolvedRow(NamedTuple):
    """The model of a component, with its backend."""

    provider: str
    base_url: str
    key_reference: str
    model_name: str
    temperature: float
    max_output_tokens: int
