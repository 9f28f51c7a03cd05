"""The wheel of each service and of the CLI works without the source tree and the other services."""

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

_OPS_PORT = 1

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of all wheels."""
    return environments.build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with database, certificates and settings whose services are not running."""
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


async def test_each_service_starts_with_only_its_declared_dependencies(
    wheels: Path, stack: Stack, tmp_path: Path
) -> None:
    with ExitStack() as running:
        started = {}
        for service in SERVICES:
            packages = tmp_path / service
            environments.install(service, wheels, packages)
            with _running(_isolated(stack.migration(service), packages)) as migrating:
                assert migrating.wait(GUARD_SECONDS) == 0, stack.layout.log(service).read_text()
            started[service] = running.enter_context(_running(_isolated(stack.service(service), packages)))
        for service, process in started.items():
            serves = partial(readiness.service_serves, stack.ports.services[service][_OPS_PORT])
            alive = partial(_alive, process)
            assert await readiness.wait_until(serves, alive, GUARD_SECONDS), stack.layout.log(
                service
            ).read_text()


def test_the_cli_works_without_the_services(wheels: Path, tmp_path: Path) -> None:
    environments.install("deploy", wheels, tmp_path)
    command = [sys.executable, "-S", "-P", "-m", "deploy.cli", "user", "list", "--url", "meno.example"]
    environment = {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "you are not signed in at https://meno.example" in done.stderr) == (1, True)


def test_a_wheel_contains_its_licence_and_no_tests(wheels: Path) -> None:
    found = {wheel.name.split("-")[0]: _contents(wheel) for wheel in wheels.iterdir()}
    assert set(found) == {*environments.DISTRIBUTIONS.values()}
    for files in found.values():
        assert [file for file in files if "/tests/" in file or "conftest" in file] == []
        assert [file for file in files if file.endswith("licenses/LICENSE")] != []


def _isolated(program: Program, packages: Path) -> Program:
    """Returns the program with a command that can import only the given packages."""
    # -S excludes site-packages, and -P excludes the working directory.
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
