"""What an operator sets for a service that asks models."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from chassis import secret_refs
from chassis.secret_refs import SecretUnavailable
from chassis.settings import Settings


class KeySettings(Settings):
    """The settings of a service that reads keys by reference."""

    key_directory: Path = Field(
        default=Path("/run/secrets"),
        description="holds the keys that `file:` references lead to, and no other secrets",
    )

    def key(self, setting: str) -> str:
        """The key that a setting refers to; empty where it is not set. Exits with a line where there is none."""
        try:
            return secret_refs.read(getattr(self, setting), self.key_directory)
        except SecretUnavailable as error:
            raise SystemExit(f"MENO_{setting.upper()}: {error}") from error


class ModelSettings(KeySettings):
    """The settings of a service that goes where an administrator says."""

    private_model_hosts: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="hosts of models that are inside, or speak without TLS: localhost:11434, separated by commas",
    )

    @field_validator("private_model_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return {host.strip().lower() for host in value.split(",")} - {""}
