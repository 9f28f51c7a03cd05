"""Prompts at the terminal. Without a terminal, the error names the option or variable to use instead."""

import getpass
import os
import sys
from collections.abc import Callable

from deploy.cli import output
from deploy.stack.errors import CliError, Interrupted


def confirm(question: str, *, yes: bool) -> None:
    """Returns if the user answers yes or `yes` is set. Raises CliError otherwise."""
    if yes:
        return
    require_terminal("--yes")
    if _read_line(f"{output.sanitize(question)} [y/N] ").lower() not in {"y", "yes"}:
        raise CliError("nothing was changed")


def confirm_by_name(question: str, name: str, *, yes: bool) -> None:
    """Returns if the user types the name or `yes` is set. Raises CliError otherwise.

    This is the confirmation of actions that cannot be undone.
    """
    if yes:
        return
    require_terminal("--yes")
    if _read_line(f"{question} Type {output.sanitize(name)} to continue: ") != name:
        raise CliError("the name does not match: nothing was changed")


def text(question: str, instead: str) -> str:
    """Returns a line that the user types. Raises CliError, which names `instead`, without a terminal."""
    require_terminal(instead)
    return _read_line(f"{question}: ")


def secret(question: str, variable: str, *, twice: bool = False) -> str:
    """Returns the value of an environment variable, or a hidden line that the user types.

    Raises CliError without a terminal, or if `twice` is set and the second line differs.
    """
    if found := os.environ.get(variable):
        return found
    require_terminal(variable)
    first = _read_hidden(f"{question}: ")
    if twice and _read_hidden("Repeat: ") != first:
        raise CliError("the two entries differ: nothing was changed")
    return first


def require_terminal(instead: str) -> None:
    """Raises CliError if standard input is not a terminal; the error names `instead`."""
    if not sys.stdin.isatty():
        raise CliError(f"cannot prompt because there is no terminal: give {instead}")


def _read_line(question: str) -> str:
    output.errors.print(question, end="", markup=False)
    return _read(input).strip()


def _read_hidden(question: str) -> str:
    return _read(lambda: getpass.getpass(question))


def _read(ask: Callable[[], str]) -> str:
    """Returns the typed line. Raises CliError at the end of input, Interrupted on Ctrl-C."""
    try:
        return ask()
    except EOFError:
        raise CliError("nothing was changed") from None
    except KeyboardInterrupt:
        output.errors.print()
        raise Interrupted("nothing was changed") from None
