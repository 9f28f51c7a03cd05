"""Each service, and the command line, is a wheel that works where neither this tree nor the others are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from deploy.stack import readiness
from deploy.stack.layout import SERVICES, Layout, choose_ports
from deploy.stack.postgres import Postgres
from deploy.stack.programs import Program
from deploy.stack.stack import Stack
from tests.local_stack import GUARD_SECONDS, free_port
from tests.packaging import environments

OPS = 1

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of all wheels."""
    return environments.build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A database, certificates and settings for four services, of which none runs."""
    layout = Layout(tmp_path_factory.mktemp("stack"), free_port())
    layout.prepare()
    made = Stack(layout, choose_ports(layout))
    made.issue_certificates()
    made.postgres = Postgres(layout.directory, durable=False)
    made.postgres.prepare()
    with _running(made.postgres.program()) as process:
        made.postgres.wait(process)
        made.postgres.provision(made.accesses)
        yield made
    made.postgres.remove()


async def test_each_wheel_serves_with_nothing_but_what_it_declares(
    wheels: Path, stack: Stack, tmp_path: Path
) -> None:
    with ExitStack() as running:
        started = {}
        for service in SERVICES:
            packages = tmp_path / service
            environments.install(service, wheels, packages)
            with _running(_alone(stack.migration(service), packages)) as migrating:
                assert migrating.wait(GUARD_SECONDS) == 0, stack.layout.log(service).read_text()
            started[service] = running.enter_context(_running(_alone(stack.service(service), packages)))
        for service, process in started.items():
            serves = partial(readiness.service_serves, stack.ports.services[service][OPS])
            alive = partial(_alive, process)
            assert await readiness.wait_until(serves, alive, GUARD_SECONDS), stack.layout.log(
                service
            ).read_text()


def test_the_command_line_needs_no_service(wheels: Path, tmp_path: Path) -> None:
    environments.install("deploy", wheels, tmp_path)
    command = [sys.executable, "-S", "-P", "-m", "deploy.cli", "user", "list", "--url", "meno.example"]
    environment = {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "you are not signed in at https://meno.example" in done.stderr) == (1, True)


def test_a_wheel_has_no_tests_and_says_its_licence(wheels: Path) -> None:
    found = {wheel.name.split("-")[0]: _contents(wheel) for wheel in wheels.iterdir()}
    assert set(found) == {*environments.DISTRIBUTIONS.values()}
    for files in found.values():
        assert [file for file in files if "/tests/" in file or "conftest" in file] == []
        assert [file for file in files if file.endswith("licenses/LICENSE")] != []


def _alone(program: Program, packages: Path) -> Program:
    """The same program where only some packages can be imported."""
    # Neither site-packages (-S) nor the working directory (-P) is looked into.
    command = (sys.executable, "-S", "-P", *program.command[1:])
    environment = {**(program.environment or {}), "PYTHONPATH": str(packages)}
    return replace(program, command=command, environment=environment, directory=packages)


def _alive(process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is None


@contextmanager
def _running(program: Program) -> Iterator["subprocess.Popen[bytes]"]:
    process = program.start()
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(program.stop_signal)
        process.wait()


def _contents(wheel: Path) -> list[str]:
    listing = [sys.executable, "-m", "zipfile", "-l", os.fspath(wheel)]
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
