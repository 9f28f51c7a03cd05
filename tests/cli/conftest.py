"""An administrator who is signed in at the worker's stack."""

import uuid
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import prompts
from deploy.cli.app import cli
from deploy.stack.layout import Layout
from tests import running

PASSWORD = "a long walk in the rain"

Meno = Callable[..., Result]
Typing = Callable[..., str]


@pytest.fixture(scope="session")
def meno(layout: Layout) -> Meno:
    """Runs a command in this process; what is given by name goes into its environment."""

    def run(*arguments: str, **environment: str) -> Result:
        where = running.at(layout)
        return CliRunner().invoke(cli, arguments, env={"MENO_PASSWORD": PASSWORD, **where, **environment})

    return run


@pytest.fixture
def typing(meno: Meno, monkeypatch: pytest.MonkeyPatch) -> Typing:
    """Runs a command for somebody who types in one line; returns all that it says."""

    def run(typed: str, *arguments: str) -> str:
        with monkeypatch.context() as terminal:
            terminal.setattr(prompts, "require_terminal", lambda instead: None)
            terminal.setattr("builtins.input", lambda: typed)
            return meno(*arguments).output

    return run


@pytest.fixture(scope="session")
def administrator(layout: Layout) -> str:
    """The login name of an administrator, who was made as the first one is."""
    name = f"root-{uuid.uuid4().hex[:8]}"
    made = running.meno(layout, "user", "create-admin", name, MENO_PASSWORD=PASSWORD)
    assert made.returncode == 0, made.stderr
    return name


@pytest.fixture(scope="module")
def admin(administrator: str, meno: Meno) -> str:
    """Their login name, once they are signed in."""
    signed_in = meno("sign-in", administrator)
    assert "(ADMIN)" in signed_in.stdout, signed_in.stderr
    return administrator


def line(result: Result) -> str:
    """The only line that a command which failed has to say."""
    assert result.exit_code == 1, result.stdout
    [said] = result.stderr.strip().splitlines()
    return said
