"""What an operator sets for chat_service."""

from typing import Literal

from pydantic import Field, model_validator

from chassis.settings import Settings as ServiceSettings


class Settings(ServiceSettings):
    """The service's settings, with those of every service."""

    content_address: str = Field(default="content:9000", description="host:port of content_service")
    search_seconds: float = Field(default=10, gt=0, description="the longest wait for content_service")

    tutor: Literal["extractive", "openai"] = Field(
        default="extractive",
        description="`extractive` quotes the material; `openai` asks a model at an OpenAI-compatible endpoint",
    )
    tutor_base_url: str = Field(default="", description="the endpoint, such as http://localhost:11434/v1")
    tutor_model: str = Field(default="", description="the model's name there")
    tutor_api_key: str = Field(
        default="",
        pattern="^$|^(env|file):.",
        description="a reference to the key, `env:NAME` or `file:PATH`; never the key itself",
    )
    tutor_temperature: float = Field(default=0.2, ge=0, le=2)
    tutor_max_tokens: int = Field(default=1024, ge=1, description="the longest answer of the model")
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
