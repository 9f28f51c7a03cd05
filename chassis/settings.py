"""What an operator sets: environment variables, all beginning with MENO_."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """What every service needs to run. A service adds its own in a subclass."""

    model_config = SettingsConfigDict(env_prefix="MENO_", extra="ignore")

    database_url: SecretStr = Field(description="postgresql:// URL of the role that serves")
    owner_database_url: SecretStr | None = Field(
        default=None, description="postgresql:// URL of the role that migrates; default: database_url"
    )
    max_connections: int = Field(default=10, ge=1, description="database connections of one process")

    host: str = Field(default="[::]", description="address to listen on")
    ports: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(9000,), description="one port for each worker process, separated by commas"
    )
    ops_host: str = Field(default="[::]", description="address for health and reflection, in plain text")
    ops_ports: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(9090,), description="one port for the health of each worker process"
    )
    drain_seconds: float = Field(default=20, ge=0, description="time that running calls get on SIGTERM")

    tls_directory: Path = Field(description="holds ca.pem, cert.pem and key.pem; read again on a change")
    secret: SecretStr = Field(min_length=32, description="keys digests; the same for every replica")

    identity_address: str = Field(default="identity:9000", description="host:port of identity_service")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("ports", "ops_ports", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @property
    def migration_url(self) -> str:
        """Where migrations run."""
        return (self.owner_database_url or self.database_url).get_secret_value()
