"""Value types of models."""

from datetime import datetime
from typing import NamedTuple


class ModelFields(NamedTuple):
    """The fields of a model that an administrator sets."""

    model_name: str
    temperature: float
    max_output_tokens: int


class ModelRow(NamedTuple):
    """A model of a backend."""

    model_id: str
    backend_id: str
    model_name: str
    temperature: float
    max_output_tokens: int
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    def fields(self) -> ModelFields:
        """Returns the fields that an administrator sets."""
        return ModelFields(self.model_name, self.temperature, self.max_output_tokens)
