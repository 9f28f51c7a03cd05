"""Fixtures that run commands as a signed-in administrator of the stack."""

import uuid
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import prompts
from deploy.cli.app import cli
from deploy.stack.layout import Layout
from tests import local_stack

PASSWORD = "a long walk in the rain"

Meno = Callable[..., Result]
TypeAnswer = Callable[..., str]


@pytest.fixture(scope="session")
def meno(layout: Layout) -> Meno:
    """Runs a command in this process. Keyword arguments become environment variables."""

    def run(*arguments: str, **environment: str) -> Result:
        target = local_stack.cli_environment(layout)
        return CliRunner().invoke(cli, arguments, env={"MENO_PASSWORD": PASSWORD, **target, **environment})

    return run


@pytest.fixture
def type_answer(meno: Meno, monkeypatch: pytest.MonkeyPatch) -> TypeAnswer:
    """Runs a command, answers its prompt with one line, and returns its output."""

    def run(typed: str, *arguments: str) -> str:
        with monkeypatch.context() as terminal:
            terminal.setattr(prompts, "require_terminal", lambda instead: None)
            terminal.setattr("builtins.input", lambda: typed)
            return meno(*arguments).output

    return run


@pytest.fixture(scope="session")
def administrator(layout: Layout) -> str:
    """The login name of an administrator that `create-admin` has created."""
    name = f"root-{uuid.uuid4().hex[:8]}"
    made = local_stack.run_meno(layout, "user", "create-admin", name, MENO_PASSWORD=PASSWORD)
    assert made.returncode == 0, made.stderr
    return name


@pytest.fixture(scope="module")
def admin(administrator: str, meno: Meno) -> str:
    """The login name of the administrator, who is signed in."""
    signed_in = meno("sign-in", administrator)
    assert "(ADMIN)" in signed_in.stdout, signed_in.stderr
    return administrator


def error_line(result: Result) -> str:
    """Returns the only line on standard error of a command that failed with status 1."""
    assert result.exit_code == 1, result.stdout
    [message] = result.stderr.strip().splitlines()
    return message
