"""The directories, secrets and ports of the stack."""

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
"""The default directory of a stack. In a clone of the repository, it is inside the clone."""
DEFAULT_PORT = 8080
NEEDED_BYTES = 300 * 1024 * 1024
"""The free space that a start requires on every disk that the stack writes to."""

_INHERITED = frozenset(
    {"PATH", "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
_INHERITED_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})

_FIRST_PORT = 20_000
_LAST_PORT = 30_000
"""The range is below the ports that the system uses for outgoing connections."""


@dataclass(frozen=True)
class Layout:
    """The paths of a stack, all inside one directory."""

    directory: Path = DIRECTORY
    port: int = DEFAULT_PORT
    """Port of the gateway."""
    allowed_origins: tuple[str, ...] = ()
    """Browser origins that may call the gateway, besides every port of this machine."""

    @property
    def lock(self) -> Path:
        """The lock file, which the supervisor locks while it runs."""
        return self.directory / "lock"

    @property
    def state(self) -> Path:
        """The file with the state of the supervisor."""
        return self.directory / "state.json"

    @property
    def storage(self) -> Path:
        """The directory of uploaded files."""
        return self.directory / "storage"

    @property
    def cache(self) -> Path:
        """The directory of files that can be recreated."""
        return self.directory / "cache"

    @property
    def keys(self) -> Path:
        """The directory of the API keys of models, which `file:` references name."""
        return self.directory / "keys"

    @property
    def docs(self) -> Path:
        """The directory of the OpenAPI document and its viewer."""
        return self.directory / "docs"

    def log(self, program: str) -> Path:
        """Returns the log file of a program."""
        return self.directory / "logs" / f"{program}.log"

    def tls(self, name: str) -> Path:
        """Returns the directory of the certificates of a service or of the gateway."""
        return self.directory / "tls" / name

    def secret(self, service: str) -> str:
        """Returns the secret of a service, which the first start creates."""
        return read_or_create_secret(self.directory / "secrets" / service)

    def prepare(self) -> None:
        """Creates the directories. Raises CliError if that fails or if the disk is almost full."""
        try:
            for directory in (self.directory, self.directory / "logs", self.storage, self.cache, self.keys):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CliError(f"cannot write {self.directory}: {error.strerror or error}") from error
        check_disk(self.directory)


def check_disk(directory: Path) -> None:
    """Raises CliError if the disk of a directory is almost full."""
    free = shutil.disk_usage(directory).free
    if free < NEEDED_BYTES:
        raise CliError(
            f"the disk of {directory} has {free // 2**20} MiB free, "
            f"{NEEDED_BYTES // 2**20} MiB are needed: free some space and run the command again"
        )


def read_or_create_secret(file: Path) -> str:
    """Returns the secret in a file. Creates it, readable only by its owner, if the file does not exist."""
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
    """The ports of a stack. Only the gateway listens on other addresses than the loopback."""

    gateway: int
    keys: int
    admin: int
    services: dict[str, tuple[int, int]]
    """Port and ops port of each service."""


def choose_ports(layout: Layout) -> Ports:
    """Returns the ports of a stack: the requested one for the gateway, free ones for the rest.

    The free ports are the same at each start, if possible. Raises CliError if the port of the gateway
    is in use, or if no port is free.
    """
    if not is_free(layout.port):
        raise CliError(
            f"port {layout.port} is in use: stop the process, or choose another port, for example PORT=8090"
        )
    free = _free_ports(layout)
    return Ports(
        gateway=layout.port,
        keys=next(free),
        admin=next(free),
        services={service: (next(free), next(free)) for service in SERVICES},
    )


def environment() -> dict[str, str]:
    """Returns the environment of a program: PATH, locale, time zone, proxies and trusted certificates.

    Other variables of the shell can be secrets, which an administrator could have sent as the key of a model.
    """
    inherited = {name: value for name, value in os.environ.items() if _is_inherited(name)}
    return {
        **inherited,
        "PYTHONUNBUFFERED": "1",
        "PATH": os.pathsep.join([_scripts_directory(), inherited.get("PATH", "")]),
    }


def _is_inherited(name: str) -> bool:
    return name in _INHERITED or name.lower() in _INHERITED_PROXIES or name.startswith("LC_")


def _scripts_directory() -> str:
    return str(Path(sys.executable).parent)


def _free_ports(layout: Layout) -> Iterator[int]:
    name = hashlib.sha256(str(layout.directory.resolve()).encode()).digest()
    start = _FIRST_PORT + int.from_bytes(name[:4], "big") % (_LAST_PORT - _FIRST_PORT)
    for port in [*range(start, _LAST_PORT), *range(_FIRST_PORT, start)]:
        if is_free(port):
            yield port
    raise CliError(f"no port between {_FIRST_PORT} and {_LAST_PORT} is free")


def is_free(port: int) -> bool:
    """Returns whether no process listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
