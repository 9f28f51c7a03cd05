"""Settings of services that call language models."""

from pathlib import Path

from pydantic import Field, field_validator

from chassis import secret_refs
from chassis.secret_refs import SecretUnavailable
from chassis.settings import Settings


class KeySettings(Settings):
    """The settings of a service that reads API keys by reference."""

    key_directory: Path = Field(
        default=Path("/run/secrets"),
        description="directory of the API keys for `file:` references; must not contain other secrets",
    )

    def key(self, setting: str) -> str:
        """Returns the API key to which a setting refers, or an empty string if the setting is empty.

        Exits with an error message if the key is unavailable.
        """
        try:
            return secret_refs.read(getattr(self, setting), self.key_directory)
        except SecretUnavailable as error:
            raise SystemExit(f"MENO_{setting.upper()}: {error}") from error


class ModelSettings(KeySettings):
    """The settings of a service that calls models at URLs of an administrator."""

    private_model_hosts: frozenset[str] = Field(
        default=frozenset(),
        description="model hosts that may have private addresses or no TLS, such as localhost:11434; comma-separated",
    )

    @field_validator("private_model_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return {host.strip().lower() for host in value.split(",")} - {""}
