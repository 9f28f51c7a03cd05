"""Which installation a command talks to, and where what it remembers of it lies."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.stack.errors import CliError
from deploy.stack.layout import Layout
from deploy.stack.state import is_running, load

_PORTS = {"https": 443, "http": 80}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Place:
    """An installation."""

    scheme: str
    host: str
    port: int
    credentials: Path
    """Who is signed in."""

    is_here: bool = False
    """Whether it is the stack on this machine."""

    @property
    def url(self) -> str:
        """As a browser knows it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def target(self) -> str:
        """As gRPC knows it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def audit_head(self) -> Path:
        """The last audit entry that was seen."""
        return self.credentials.with_suffix(".audit.json")


def credentials_of(layout: Layout) -> Path:
    """Who is signed in at a stack on this machine."""
    return layout.directory / "cli.json"


def find(url: str, directory: Path) -> Place:
    """The installation at a URL, or else the stack that runs on this machine. Raises CliError."""
    return _elsewhere(url) if url else _here(Layout(directory))


def _here(layout: Layout) -> Place:
    state = load(layout) if is_running(layout) else None
    if state is None or not state.ready:
        raise CliError(
            "Meno is not running: `meno up` starts it; --url or MENO_URL names an installation elsewhere"
        )
    return Place("http", "localhost", state.port, credentials_of(layout), is_here=True)


def _elsewhere(url: str) -> Place:
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, scheme = parts.hostname or "", parts.scheme
        port = parts.port or _PORTS[scheme]
    except (ValueError, KeyError):
        host = ""
    if not host or parts.path.strip("/") or parts.query or parts.username:
        raise CliError(f"{url} is no address of an installation: give one such as https://meno.example")
    if scheme == "http" and host not in LOOPBACK:
        raise CliError(f"{url} would carry passwords in the clear: use https, or a tunnel to localhost")
    name = host if port == _PORTS["https"] else f"{host}_{port}"
    return Place(scheme, host, port, _configuration() / f"{name.replace(':', '-')}.json")


def _configuration() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "meno"
