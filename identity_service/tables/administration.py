"""Tables of the configuration and the models."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Double, ForeignKey, Integer, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from identity_service.tables.base import Base


class AppConfig(Base):
    """Configuration values that administrators have set."""

    __tablename__ = "app_config"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB)
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_by_user_id: Mapped[str | None] = mapped_column(UUID)


class ModelBackend(Base):
    """A server of language models."""

    __tablename__ = "model_backends"

    backend_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    name: Mapped[str] = mapped_column(unique=True)
    provider: Mapped[str]
    base_url: Mapped[str] = mapped_column(server_default="")
    key_reference: Mapped[str] = mapped_column(server_default="")
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("provider IN ('BUILTIN', 'OPENAI', 'ANTHROPIC', 'GOOGLE')", name="provider"),
    )


class Model(Base):
    """A model of a backend."""

    __tablename__ = "models"

    model_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    backend_id: Mapped[str] = mapped_column(UUID, ForeignKey("model_backends.backend_id"))
    model_name: Mapped[str]
    temperature: Mapped[float] = mapped_column(Double, server_default="0.2")
    max_output_tokens: Mapped[int] = mapped_column(Integer, server_default="2048")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("backend_id", "model_name"),
        CheckConstraint("temperature BETWEEN 0 AND 2", name="temperature"),
        CheckConstraint("max_output_tokens > 0", name="max_output_tokens"),
    )


class ComponentModel(Base):
    """The model that a component uses."""

    __tablename__ = "component_models"

    component: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[str] = mapped_column(UUID, ForeignKey("models.model_id"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_by_user_id: Mapped[str | None] = mapped_column(UUID)

    __table_args__ = (
        CheckConstraint(
            "component IN ('TUTOR', 'BOOK_INGESTION', 'STUDY_PLAN_GENERATOR', 'STUDY_PLAN_REVIEWER', "
            "'QUIZ_GENERATOR', 'MISCONCEPTION_DETECTOR', 'EVAL_EVALUATOR', 'EVAL_SIMULATOR')",
            name="component",
        ),
    )
