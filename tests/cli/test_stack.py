"""`meno up`, `status` and `logs`, and what the programs of a stack inherit and write."""

import subprocess
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from deploy.cli import output
from deploy.gateway.envoy import configuration
from deploy.stack import rotation, tail
from deploy.stack.layout import ROOT, SERVICES, Layout
from deploy.stack.stack import Stack
from tests import local_stack
from tests.cli.conftest import Meno

INHERITED = {
    "PATH": "/usr/bin",
    "LANG": "C.UTF-8",
    "LC_TIME": "C",
    "TZ": "UTC",
    "https_proxy": "http://proxy:3128",
    "NO_PROXY": "localhost",
}
NOT_INHERITED = {
    "HOME": "/root",
    "USER": "root",
    "OPENAI_API_KEY": "secret",
    "PGPASSWORD": "secret",
    "MENO_SECRET": "secret",
    "MENO_PASSWORD": "secret",
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_inherits_few_variables_of_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable, value in {**INHERITED, **NOT_INHERITED}.items():
        monkeypatch.setenv(variable, value)
    stack = Stack.stopped(Layout(tmp_path))
    environment = stack.service(name).environment or {}
    assert INHERITED.keys() <= environment.keys()
    assert "secret" not in environment.values()
    assert not {"HOME", "USER", "PGPASSWORD", "MENO_PASSWORD", "MENO_OWNER_DATABASE_URL"} & environment.keys()
    assert "MENO_OWNER_DATABASE_URL" in (stack.migration(name).environment or {})


def test_no_running_program_can_connect_as_an_owner(layout: Layout) -> None:
    for program in local_stack.load_state(layout).programs.values():
        environment = psutil.Process(program.pid).environ()
        assert "MENO_OWNER_DATABASE_URL" not in environment
        assert "HOME" not in environment


def test_a_large_log_is_rotated_while_a_program_writes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "MAX_LOG_BYTES", 10)
    layout = Layout(tmp_path)
    layout.prepare()
    shown = Console(record=True, quiet=True)
    with layout.log("gateway").open("ab", buffering=0) as program:
        program.write(b"a first and long line\n")

        def rotate_once() -> bool:
            if layout.log("gateway").with_name("gateway.log.1").exists():
                return False
            rotation.rotate(tmp_path / "logs")
            program.write(b"second\n")
            return True

        with shown.capture() as printed:
            shown.quiet = False
            tail.show(layout, "", shown, rotate_once)
        rotation.rotate(tmp_path / "logs")
    assert layout.log("gateway").read_text() == "second\n"
    assert layout.log("gateway").with_name("gateway.log.1").read_text() == "a first and long line\n"
    assert [line.split(maxsplit=1)[1] for line in printed.get().splitlines()] == [
        "a first and long line",
        "second",
    ]


def test_the_logs_of_a_stopped_stack_end(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    layout.log("gateway").write_text("last words\n")
    done = local_stack.run_meno(layout, "logs")
    assert (done.returncode, done.stdout.split(maxsplit=1)[1]) == (0, "last words\n")


def test_up_suggests_commands_for_its_directory(meno: Meno, layout: Layout) -> None:
    done = meno("up", "--directory", str(layout.directory))
    assert done.exit_code == 0
    for command in ("down", "status", "sign-in NAME"):
        assert f"{output.command_path()} {command} --directory {layout.directory}" in done.stdout


def test_up_rejects_invalid_origins_and_new_origins_of_a_running_stack(meno: Meno) -> None:
    for origin in ("learn.example.org", "https://learn.example.org/", "*"):
        wrong = meno("up", "--allowed-origin", origin)
        assert (wrong.exit_code, "https://host" in wrong.stderr) == (2, True)
    other = meno("up", "--allowed-origin", "https://learn.example.org")
    assert (other.exit_code, "other allowed origins" in other.stderr) == (1, True)


def test_allowed_origins_reach_the_gateway(tmp_path: Path) -> None:
    stack = Stack.stopped(Layout(tmp_path, allowed_origins=("https://learn.example.org",)))
    tmp_path.joinpath("docs").mkdir()
    [public, _] = configuration(stack.gateway())["static_resources"]["listeners"]
    manager = public["filter_chains"][0]["filters"][0]["typed_config"]
    [host] = manager["route_config"]["virtual_hosts"]
    allowed = host["typed_per_filter_config"]["envoy.filters.http.cors"]["allow_origin_string_match"]
    assert {"exact": "https://learn.example.org"} in allowed


def test_the_status_of_a_stopped_stack_is_no_error_of_make(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "status"],
        cwd=ROOT,
        env=local_stack.cli_environment(Layout(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    # make marks its errors with asterisks.
    assert (done.returncode, "***" in done.stderr) == (0, False)
    assert done.stdout.startswith("Meno is not running.")
