"""What an operator sets for chat_service."""

from typing import Literal

from pydantic import Field, model_validator

from chassis.models.settings import ModelSettings


class Settings(ModelSettings):
    """The service's settings, with those of every service."""

    content_address: str = Field(default="content:9000", description="host:port of content_service")
    search_seconds: float = Field(default=10, gt=0, description="the longest wait for content_service")

    tutor: Literal["configured", "extractive", "openai"] = Field(
        default="configured",
        description="`configured` is what the administrators choose; `extractive` quotes the material, "
        "whatever they choose; `openai` asks the model of MENO_TUTOR_BASE_URL and MENO_TUTOR_MODEL",
    )
    tutor_base_url: str = Field(
        default="", description="of `openai`: the endpoint, such as http://localhost:11434/v1"
    )
    tutor_model: str = Field(default="", description="of `openai`: the model's name there")
    tutor_api_key: str = Field(
        default="",
        pattern="^$|^(env|file):.",
        description="of `openai`: a reference to the key, `env:NAME` or `file:PATH`; never the key itself",
    )
    tutor_temperature: float = Field(default=0.2, ge=0, le=2, description="of `openai`")
    tutor_max_tokens: int = Field(default=1024, ge=1, description="of `openai`: the longest answer")
    tutor_connect_seconds: float = Field(default=5, gt=0, description="the longest wait for a connection")
    tutor_silence_seconds: float = Field(default=30, gt=0, description="the longest wait for more text")

    max_answers: int = Field(default=100, ge=1, description="answers that one process writes at a time")
    answer_seconds: float = Field(default=180, gt=0, description="the longest that an answer may take")
    finish_seconds: float = Field(
        default=5, ge=0, description="time on SIGTERM for answers that nobody listens to any more"
    )
    lease_seconds: float = Field(
        default=15, gt=0, description="time without a sign of life after which a writer counts as dead"
    )
    sweep_seconds: float = Field(
        default=5, gt=0, description="time between looks for answers of dead writers"
    )

    @model_validator(mode="after")
    def _name_the_model(self) -> "Settings":
        if self.tutor == "openai" and not (self.tutor_base_url and self.tutor_model):
            raise ValueError("MENO_TUTOR=openai needs MENO_TUTOR_BASE_URL and MENO_TUTOR_MODEL")
        return self
