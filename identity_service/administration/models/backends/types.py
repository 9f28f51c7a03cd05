"""Value types of model backends."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple


class BackendFields(NamedTuple):
    """The fields of a backend that an administrator sets."""

    name: str
    provider: str
    base_url: str = ""
    key_reference: str = ""
    enabled: bool = True


class BackendRow(NamedTuple):
    """A backend."""

    backend_id: str
    name: str
    provider: str
    base_url: str
    key_reference: str
    enabled: bool
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    def fields(self) -> BackendFields:
        """Returns the fields that an administrator sets."""
        return BackendFields(self.name, self.provider, self.base_url, self.key_reference, self.enabled)


class EgressPolicy(NamedTuple):
    """The addresses and secrets to which backends may refer."""

    key_directory: Path
    """The directory that contains the files of `file:` references."""
    private_hosts: frozenset[str]
    """Hosts that are permitted although their addresses are private."""


class ProbeResult(NamedTuple):
    """The result of testing a backend."""

    problem: str
    """A message for the administrator; empty if the test succeeded."""
    model_names: list[str]
    latency_seconds: float
