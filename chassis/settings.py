"""The settings of a service: environment variables with the prefix MENO_."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

PREFIX = "MENO_"


class Settings(BaseModel):
    """The settings of every service. A service adds its own in a subclass."""

    database_url: SecretStr = Field(description="postgresql:// URL of the database, with the serving role")
    owner_database_url: SecretStr | None = Field(
        default=None,
        description="postgresql:// URL with the owner role, which migrates; default: MENO_DATABASE_URL",
    )
    max_connections: int = Field(
        default=10, ge=1, description="maximum number of database connections per process"
    )

    host: str = Field(default="[::]", description="address on which RPCs are served")
    ports: tuple[int, ...] = Field(
        default=(9000,), description="ports of the worker processes, one each, separated by commas"
    )
    ops_host: str = Field(default="[::]", description="address of health and reflection, without TLS")
    ops_ports: tuple[int, ...] = Field(
        default=(9090,), description="ports of health and reflection, one per worker process"
    )
    drain_seconds: float = Field(
        default=20, ge=0, description="seconds that running calls have to finish after SIGTERM"
    )

    tls_directory: Path = Field(
        description="directory of ca.pem, cert.pem and key.pem; changed files are reloaded"
    )
    secret: SecretStr = Field(
        min_length=32, description="secret key of digests; must be the same on all replicas of a service"
    )

    identity_address: str = Field(default="identity:9000", description="host:port of identity_service")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="minimum level of log lines: DEBUG, INFO, WARNING or ERROR"
    )

    @field_validator("ports", "ops_ports", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @property
    def migration_url(self) -> str:
        """The URL with which migrations run."""
        return (self.owner_database_url or self.database_url).get_secret_value()


# pydantic-settings would do the same. Importing it takes 2 MiB of memory in every process.
def environment(kind: type[Settings]) -> dict[str, str]:
    """Returns the environment variables that set the fields of `kind`, by field name."""
    variables = {name: f"{PREFIX}{name.upper()}" for name in kind.model_fields}
    return {name: os.environ[variable] for name, variable in variables.items() if variable in os.environ}
