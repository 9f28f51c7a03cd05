"""Questions to whoever sits at the terminal. Where nobody does, a CliError says how to go without."""

import getpass
import os
import sys
from collections.abc import Callable

from deploy.cli import screen
from deploy.stack.errors import CliError, Interrupted


def confirm(question: str, *, yes: bool) -> None:
    """Goes on where the answer is yes, or was given beforehand. Raises CliError."""
    if yes:
        return
    somebody("--yes")
    if _line(f"{screen.plain(question)} [y/N] ").lower() not in {"y", "yes"}:
        raise CliError("nothing was changed")


def confirm_by_name(question: str, name: str, *, yes: bool) -> None:
    """Goes on where the name is typed in, for what cannot be undone. Raises CliError."""
    if yes:
        return
    somebody("--yes")
    if _line(f"{question} Type {screen.plain(name)} to go on: ") != name:
        raise CliError("that was another name: nothing was changed")


def text(question: str, instead: str) -> str:
    """A line; `instead` says how it is given where nobody can be asked. Raises CliError."""
    somebody(instead)
    return _line(f"{question}: ")


def secret(question: str, variable: str, *, twice: bool = False) -> str:
    """What an environment variable holds, or a line that is not shown.

    Raises CliError, also where the second time differs.
    """
    if found := os.environ.get(variable):
        return found
    somebody(variable)
    first = _hidden(f"{question}: ")
    if twice and _hidden("the same again: ") != first:
        raise CliError("the two are not the same: nothing was changed")
    return first


def somebody(instead: str) -> None:
    """Raises CliError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise CliError(f"nobody is at a terminal to be asked: give {instead}")


def _line(question: str) -> str:
    screen.errors.print(question, end="", markup=False)
    return _typed(input).strip()


def _hidden(question: str) -> str:
    return _typed(lambda: getpass.getpass(question))


def _typed(ask: Callable[[], str]) -> str:
    """What is typed in. Raises CliError where that is broken off."""
    try:
        return ask()
    except EOFError:
        raise CliError("nothing was changed") from None
    except KeyboardInterrupt:
        screen.errors.print()
        raise Interrupted("nothing was changed") from None
