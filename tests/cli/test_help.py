"""Help texts, invalid usage, and errors that need no stack."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli.app import cli
from deploy.stack.layout import Layout
from tests import local_stack

GROUPS = ("Stack", "Users", "Classes", "Access", "Operation")


def commands(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """Yields every visible command with its full name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        elif not command.hidden:
            yield " ".join((*names, name)), command


def test_clean_asks_before_it_deletes_anything(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "stack")
    assert local_stack.run_meno(layout, "clean").stdout == "There is nothing to delete.\n"
    layout.directory.mkdir()
    assert "give --yes" in local_stack.run_meno(layout, "clean").stderr
    assert layout.directory.exists()
    assert local_stack.run_meno(layout, "clean", "--yes").returncode == 0
    assert not layout.directory.exists()


def test_characters_that_the_terminal_lacks_become_question_marks(tmp_path: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    for arguments in (["--help"], ["class", "show", "Algèbre"]):
        done = local_stack.run_meno(Layout(tmp_path), *arguments, **ascii_only)
        assert "Error" not in done.stderr


def test_meno_without_a_command_shows_all_groups_in_order() -> None:
    shown = CliRunner().invoke(cli, [])
    assert shown.exit_code == 0
    positions = [shown.stdout.index(f"─ {group} ─") for group in GROUPS]
    assert positions == sorted(positions)


def test_every_command_has_a_help_text_with_an_example() -> None:
    helps = dict(commands(typer.main.get_command(cli)))
    assert len(helps) > 40
    without = [name for name, command in helps.items() if "Example: [bold]" not in command.help]
    assert without == []
    mismatched = [name for name, command in helps.items() if name not in command.help]
    assert mismatched == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["user", "shwo"], "Did you mean 'show'"),
        (["user", "show"], "Missing argument 'WHO'"),
        (["user", "list", "--limit", "few"], "'--limit'"),
        (["user", "list", "--role", "BOSS"], "is not one of"),
        (["logs", "nonsense"], "must be one of supervisor"),
        (["up", "--port", "70000"], "must be from 1 to 65535"),
    ],
)
def test_invalid_usage_exits_with_status_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, arguments, env=local_stack.cli_environment(Layout(tmp_path)))
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["user", "list"], "start it with `meno up`"),
        (["user", "create-admin", "root"], "start it with `meno up`"),
        (["token", "--show"], "start it with `meno up`"),
        (["user", "list", "--url", "ftp://meno.example"], "is not the URL of an installation"),
        (["user", "list", "--url", "http://meno.example"], "would send passwords unencrypted"),
        (
            ["class", "show", "Algebra"],
            "there is no class with the id Algebra: list the classes with `meno class list`",
        ),
        (["audit", "list", "--class", "Algebra"], "there is no class with the id Algebra"),
        (["user", "list", "--directory", "no where"], "start it with `meno up --directory 'no where'`"),
        (["backup", "."], "already exists"),
    ],
)
def test_an_error_is_one_line_with_the_next_step(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = local_stack.run_meno(Layout(tmp_path / "stack"), *arguments)
    [line] = done.stderr.strip().splitlines()
    assert (done.returncode, done.stdout, message in line.replace(".venv/bin/meno", "meno")) == (1, "", True)
