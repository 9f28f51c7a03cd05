"""Settings of chat_service."""

from typing import Literal

from pydantic import Field, model_validator

from chassis.models.settings import ModelSettings


class Settings(ModelSettings):
    """The settings of chat_service, in addition to the common ones."""

    content_address: str = Field(default="content:9000", description="host:port of content_service")
    search_seconds: float = Field(
        default=10, gt=0, description="timeout of searches in content_service, in seconds"
    )

    tutor: Literal["configured", "extractive", "openai"] = Field(
        default="configured",
        description="`configured`: the model that administrators choose in identity_service; `extractive`: always "
        "quotes the material, without a model; `openai`: always the model in MENO_TUTOR_BASE_URL and MENO_TUTOR_MODEL",
    )
    tutor_base_url: str = Field(
        default="", description="for `openai`: base URL of the API, for example http://localhost:11434/v1"
    )
    tutor_model: str = Field(default="", description="for `openai`: name of the model")
    tutor_api_key: str = Field(
        default="",
        pattern="^$|^(env|file):.",
        description="for `openai`: reference to the API key, `env:NAME` or `file:PATH`; never the key itself",
    )
    tutor_temperature: float = Field(
        default=0.2, ge=0, le=2, description="for `openai`: sampling temperature"
    )
    tutor_max_tokens: int = Field(default=1024, ge=1, description="for `openai`: maximum tokens of an answer")
    tutor_connect_seconds: float = Field(
        default=5, gt=0, description="timeout of a connection to the model, in seconds"
    )
    tutor_read_seconds: float = Field(
        default=30, gt=0, description="timeout of the next piece of model output, in seconds"
    )

    chats_per_day: int = Field(
        default=500, ge=1, description="maximum number of chats that a user creates in 24 hours"
    )
    guest_chats_per_day: int = Field(default=20, ge=1, description="the same for guests")

    max_answers: int = Field(
        default=100,
        ge=1,
        description="maximum number of answers to users other than guests that one process writes at the same time",
    )
    max_guest_answers: int = Field(
        default=25,
        ge=1,
        description="maximum number of answers to guests that one process writes at the same time, in addition",
    )
    max_answers_per_user: int = Field(
        default=3, ge=1, description="maximum number of answers of one user in progress, in all processes"
    )
    max_answers_per_guest: int = Field(
        default=1, ge=1, description="maximum number of answers of one guest in progress, in all processes"
    )
    answer_seconds: float = Field(default=180, gt=0, description="maximum duration of an answer, in seconds")
    finish_seconds: float = Field(
        default=5, ge=0, description="time to finish running answers after SIGTERM, in seconds"
    )
    lease_seconds: float = Field(
        default=15,
        gt=0,
        description="a writer that has not renewed its lease for this long counts as dead, in seconds",
    )
    reaper_interval_seconds: float = Field(
        default=5, gt=0, description="interval between checks for answers of dead writers, in seconds"
    )

    @model_validator(mode="after")
    def _require_model(self) -> "Settings":
        if self.tutor == "openai" and not (self.tutor_base_url and self.tutor_model):
            raise ValueError("MENO_TUTOR=openai requires MENO_TUTOR_BASE_URL and MENO_TUTOR_MODEL")
        return self
