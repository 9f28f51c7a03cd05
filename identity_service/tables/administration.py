"""Tables of the configuration and the models."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Named,
    Table,
    Text,
    TypedColumns,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from chassis.tables import TIMESTAMPTZ
from identity_service.tables.metadata import METADATA


class AppConfigColumns(TypedColumns):
    """Configuration values that administrators have set."""

    key: Named[str] = Column(Text, primary_key=True)
    value: Named[Any] = Column(JSONB)
    version: Named[int] = Column(BigInteger, server_default="1")
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_by_user_id: Named[str | None] = Column(UUID)


app_config = Table("app_config", METADATA, AppConfigColumns)


class ModelBackendColumns(TypedColumns):
    """A server of language models."""

    backend_id: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))
    name: Named[str] = Column(Text)
    provider: Named[str] = Column(Text)
    base_url: Named[str] = Column(Text, server_default="")
    key_reference: Named[str] = Column(Text, server_default="")
    enabled: Named[bool] = Column(server_default=text("true"))
    version: Named[int] = Column(BigInteger, server_default="1")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    deleted_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deleted_by_user_id: Named[str | None] = Column(UUID)


model_backends = Table(
    "model_backends",
    METADATA,
    ModelBackendColumns,
    CheckConstraint("provider IN ('builtin', 'openai', 'anthropic', 'google')", name="provider"),
    Index("model_backends_name_key", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
)


class ModelColumns(TypedColumns):
    """A model of a backend."""

    model_id: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))
    backend_id: Named[str] = Column(UUID, ForeignKey("model_backends.backend_id"))
    model_name: Named[str] = Column(Text)
    temperature: Named[float] = Column(Double, server_default="0.2")
    max_output_tokens: Named[int] = Column(Integer, server_default="2048")
    version: Named[int] = Column(BigInteger, server_default="1")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    deleted_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deleted_by_user_id: Named[str | None] = Column(UUID)


models = Table(
    "models",
    METADATA,
    ModelColumns,
    Index(
        "models_name_key",
        "backend_id",
        "model_name",
        unique=True,
        postgresql_where=text("deleted_at IS NULL"),
    ),
    CheckConstraint("temperature BETWEEN 0 AND 2", name="temperature"),
    CheckConstraint("max_output_tokens > 0", name="max_output_tokens"),
)


class ComponentModelColumns(TypedColumns):
    """The model that a component uses."""

    component: Named[str] = Column(Text, primary_key=True)
    model_id: Named[str] = Column(UUID, ForeignKey("models.model_id"))
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_by_user_id: Named[str | None] = Column(UUID)


component_models = Table(
    "component_models",
    METADATA,
    ComponentModelColumns,
    CheckConstraint(
        "component IN ('tutor', 'book_ingestion', 'study_plan_generator', 'study_plan_reviewer', "
        "'quiz_generator', 'misconception_detector', 'eval_evaluator', 'eval_simulator')",
        name="component",
    ),
)
