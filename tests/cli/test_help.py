"""A newcomer finds what there is, and is told what they did wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli.app import cli
from deploy.stack.layout import Layout
from tests import running

GROUPS = ("Stack", "People", "Classes", "Access", "Operation")


def commands(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """Every command that is shown, by its whole name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        elif not command.hidden:
            yield " ".join((*names, name)), command


def test_nothing_is_deleted_unasked(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "stack")
    assert running.meno(layout, "clean").stdout == "There was nothing to delete.\n"
    layout.directory.mkdir()
    assert "give --yes" in running.meno(layout, "clean").stderr
    assert layout.directory.exists()
    assert running.meno(layout, "clean", "--yes").returncode == 0
    assert not layout.directory.exists()


def test_a_terminal_of_few_characters_is_shown_question_marks(tmp_path: Path) -> None:
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    for arguments in (["--help"], ["class", "show", "Algèbre"]):
        done = running.meno(Layout(tmp_path), *arguments, **ascii_alone)
        assert "Error" not in done.stderr


def test_meno_alone_shows_every_group_in_order() -> None:
    shown = CliRunner().invoke(cli, [])
    assert shown.exit_code == 0
    places = [shown.stdout.index(f"─ {group} ─") for group in GROUPS]
    assert places == sorted(places)


def test_every_command_says_what_it_does_with_an_example_of_it() -> None:
    told = dict(commands(typer.main.get_command(cli)))
    assert len(told) > 40
    without = [name for name, command in told.items() if "Example: [bold]" not in command.help]
    assert without == []
    elsewhere = [name for name, command in told.items() if name not in command.help]
    assert elsewhere == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["user", "shwo"], "Did you mean 'show'"),
        (["user", "show"], "Missing argument 'WHO'"),
        (["user", "list", "--limit", "few"], "'--limit'"),
        (["user", "list", "--role", "BOSS"], "is not one of"),
        (["logs", "nonsense"], "there are supervisor"),
        (["up", "--port", "70000"], "a port is from 1 to 65535"),
    ],
)
def test_wrong_use_is_told_apart_from_a_problem(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, arguments, env=running.at(Layout(tmp_path)))
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["user", "list"], "`meno up` starts it"),
        (["user", "create-admin", "root"], "`meno up` starts it"),
        (["token", "--show"], "`meno up` starts it"),
        (["user", "list", "--url", "ftp://meno.example"], "is no address of an installation"),
        (["user", "list", "--url", "http://meno.example"], "would carry passwords in the clear"),
        (["class", "show", "Algebra"], "no class has the id Algebra: `meno class list`"),
        (["audit", "list", "--class", "Algebra"], "no class has the id Algebra"),
        (["user", "list", "--directory", "no where"], "`meno up --directory 'no where'` starts it"),
        (["backup", "."], "is there already"),
    ],
)
def test_a_problem_is_one_line_that_says_what_to_do(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = running.meno(Layout(tmp_path / "stack"), *arguments)
    [line] = done.stderr.strip().splitlines()
    assert (done.returncode, done.stdout, said in line.replace(".venv/bin/meno", "meno")) == (1, "", True)
