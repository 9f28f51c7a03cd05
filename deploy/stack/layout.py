"""Where the stack keeps what, and which ports it takes."""

import hashlib
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.errors import CliError

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("identity_service", "content_service", "session_service", "chat_service")
DIRECTORY = ROOT / ".local" if (ROOT / "Makefile").exists() else Path.home() / ".local/share/meno"
"""Of the stack, unless another is chosen: in the clone, where there is one."""
DEFAULT_PORT = 8080
NEEDED_BYTES = 300 * 1024 * 1024
"""Free on every disk that the stack writes to, before it starts."""

_FIRST_PORT = 20_000
_LAST_PORT = 30_000
"""Below the range from which the system takes ports for outgoing connections."""


@dataclass(frozen=True)
class Layout:
    """One stack: everything of it lies in one directory."""

    directory: Path = DIRECTORY
    port: int = DEFAULT_PORT
    """Of the gateway."""

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.directory / "lock"

    @property
    def state(self) -> Path:
        """What the supervisor says of itself."""
        return self.directory / "state.json"

    @property
    def storage(self) -> Path:
        """Uploaded files."""
        return self.directory / "storage"

    @property
    def cache(self) -> Path:
        """What can be made again."""
        return self.directory / "cache"

    @property
    def docs(self) -> Path:
        """The OpenAPI document and its viewer."""
        return self.directory / "docs"

    def log(self, program: str) -> Path:
        """Where a program's output goes."""
        return self.directory / "logs" / f"{program}.log"

    def tls(self, name: str) -> Path:
        """The certificates of a service or of the gateway."""
        return self.directory / "tls" / name

    def secret(self, service: str) -> str:
        """A service's secret, made at the first start."""
        return secret_in(self.directory / "secrets" / service)

    def prepare(self) -> None:
        """Makes the directories. Raises CliError where that cannot be done, or the disk is full."""
        try:
            for directory in (self.directory, self.directory / "logs", self.storage, self.cache):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CliError(f"cannot write {self.directory}: {error.strerror or error}") from error
        check_disk(self.directory)


def check_disk(directory: Path) -> None:
    """Raises CliError where a directory's disk is all but full."""
    free = shutil.disk_usage(directory).free
    if free < NEEDED_BYTES:
        raise CliError(
            f"the disk of {directory} has {free // 2**20} MiB free, "
            f"{NEEDED_BYTES // 2**20} MiB are needed: make room and run the command again"
        )


def secret_in(file: Path) -> str:
    """The secret that a file holds, made where there is none: whole, and for its owner alone."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = file.with_suffix(".new")
        scratch.touch(mode=0o600)
        with scratch.open("w") as content:
            content.write(secrets.token_urlsafe(32))
            content.flush()
            os.fsync(content.fileno())
        scratch.replace(file)
    return file.read_text()


@dataclass(frozen=True)
class Ports:
    """The ports of one stack, all on the loopback but the gateway's own."""

    gateway: int
    keys: int
    admin: int
    services: dict[str, tuple[int, int]]
    """Port and ops port of each service."""


def choose_ports(layout: Layout) -> Ports:
    """The gateway's port as asked for, the others free, and the same at each start if they can be.

    Raises CliError where the gateway's port is in use.
    """
    if not is_free(layout.port):
        raise CliError(f"port {layout.port} is in use: stop its owner, or choose another with PORT=8090, say")
    free = _free_ports(layout)
    return Ports(
        gateway=layout.port,
        keys=next(free),
        admin=next(free),
        services={service: (next(free), next(free)) for service in SERVICES},
    )


def environment() -> dict[str, str]:
    """What a program of ours inherits: none of the MENO_ settings of whoever starts the stack."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MENO_")}
    return {**kept, "PYTHONUNBUFFERED": "1", "PATH": os.pathsep.join([_scripts(), kept.get("PATH", "")])}


def _scripts() -> str:
    return str(Path(sys.executable).parent)


def _free_ports(layout: Layout) -> Iterator[int]:
    name = hashlib.sha256(str(layout.directory.resolve()).encode()).digest()
    start = _FIRST_PORT + int.from_bytes(name[:4], "big") % (_LAST_PORT - _FIRST_PORT)
    for port in [*range(start, _LAST_PORT), *range(_FIRST_PORT, start)]:
        if is_free(port):
            yield port
    raise CliError(f"no port between {_FIRST_PORT} and {_LAST_PORT} is free")


def is_free(port: int) -> bool:
    """Whether nobody listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
