"""The target of a command: the installation that it calls, and its local files."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.stack.errors import CliError
from deploy.stack.layout import Layout
from deploy.stack.state import is_running, load

_DEFAULT_PORTS = {"https": 443, "http": 80}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Target:
    """An installation of Meno."""

    scheme: str
    host: str
    port: int
    credentials: Path
    """The file of the stored sign-in."""
    is_local: bool = False
    """Whether it is the stack on this machine."""

    @property
    def url(self) -> str:
        """Returns the URL of the gateway."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def grpc_address(self) -> str:
        """Returns the address of the gateway for a gRPC channel."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def audit_head(self) -> Path:
        """Returns the file that stores the last audit entry seen."""
        return self.credentials.with_suffix(".audit.json")


def credentials_file(layout: Layout) -> Path:
    """Returns the file of the stored sign-in at a stack on this machine."""
    return layout.directory / "cli.json"


def find_target(url: str, directory: Path) -> Target:
    """Returns the installation at a URL, or without a URL the stack that runs on this machine.

    Raises CliError if the URL is invalid or insecure, or if no stack runs.
    """
    return _remote(url) if url else _local(Layout(directory))


def _local(layout: Layout) -> Target:
    state = load(layout) if is_running(layout) else None
    if state is None or not state.ready:
        raise CliError(
            "Meno is not running: start it with `meno up`, or name a remote installation with --url or MENO_URL"
        )
    return Target("http", "localhost", state.port, credentials_file(layout), is_local=True)


def _remote(url: str) -> Target:
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, scheme = parts.hostname or "", parts.scheme
        port = parts.port or _DEFAULT_PORTS[scheme]
    except (ValueError, KeyError):
        host = ""
    if not host or parts.path.strip("/") or parts.query or parts.username:
        raise CliError(f"{url} is not the URL of an installation: give one such as https://meno.example")
    if scheme == "http" and host not in LOOPBACK:
        raise CliError(f"{url} would send passwords unencrypted: use https, or a tunnel to localhost")
    name = host if port == _DEFAULT_PORTS["https"] else f"{host}_{port}"
    return Target(scheme, host, port, _configuration_directory() / f"{name.replace(':', '-')}.json")


def _configuration_directory() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "meno"
