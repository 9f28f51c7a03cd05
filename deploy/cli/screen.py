"""What a person is shown: tables, sheets, one red line for a problem, and JSON for programs."""

import functools
import json
import os
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_WIDE = 240
"""Columns where nobody looks: what reads a pipe wants whole lines."""

_ENDLESS = 10_000
"""Columns in which any row is one line."""

_PROPOSED = re.compile("`meno( [^`]+)`")
_C1 = re.compile("[\x7f-\x9f]")


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _WIDE
    return Console(highlight=False, stderr=stderr, width=width)


console = _console()
errors = _console(stderr=True)


where: list[str] = []
"""The options with which this command was told where to go."""


def plain(text: str) -> str:
    """A text of somebody else's, without what would steer the terminal."""
    return "".join("�" if unicodedata.category(one) in {"Cc", "Cf"} else one for one in text)


def cell(value: object, style: str = "") -> Text:
    """What stands in a table: a text as it is, a time as the reader's clock has it."""
    if isinstance(value, datetime):
        value = f"{value.astimezone():%Y-%m-%d %H:%M}" if value.timestamp() else ""
    return Text(plain(str(value)), style=style)


def table(*columns: str, whole: Iterable[str] = ()) -> Table:
    """A table to add rows to; columns in `whole`, such as ids, are never cut or folded."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, no_wrap=column in whole, overflow="ignore" if column in whole else "fold")
    return made


def listed(shown: Table, count: int, limit: int, one: str, many: str) -> None:
    """Prints a table with how many rows it has, and how to see more."""
    if not count:
        say(f"There is no {one}.")
        return
    console.print(shown)
    more = f"; there may be more: --limit {limit * 10}, or --limit 0 for all" if count == limit else ""
    say(f"[dim]{counted(count, one, many)}{more}[/]")


def counted(count: int, one: str, many: str) -> str:
    """So many of a thing, in words."""
    return f"{count} {one if count == 1 else many}"


def fitting(shown: Table) -> Table:
    """A table, or the same with a row in two lines where the screen is too narrow for it."""
    if Measurement.get(console, console.options.update(max_width=_ENDLESS), shown).maximum <= console.width:
        return shown
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(overflow="fold")
    for first, *rest in zip(*(column.cells for column in shown.columns), strict=True):
        made.add_row(first)
        made.add_row(Text(" · ").join(one for one in rest if isinstance(one, Text) and one.plain))
    return made


def show(shown: RenderableType) -> None:
    """Prints a table or a text."""
    console.print(shown)


def sheet(fields: Mapping[str, object]) -> None:
    """Prints one thing, a line a field; what is empty is left out."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in fields.items():
        shown = value if isinstance(value, Text) else cell(value)
        if shown.plain:
            made.add_row(name, shown)
    console.print(made)


def say(text: str, *values: object) -> None:
    """Prints a sentence; `{}` in it are values of somebody else's."""
    console.print(_filled(text, values), soft_wrap=True)


@functools.cache
def program() -> str:
    """How `meno` is called from here: by its name, or by where it lies."""
    installed = Path(sys.executable).with_name("meno")
    found = shutil.which("meno")
    if found and Path(found).resolve() == installed.resolve():
        return "meno"
    here = Path.cwd()
    return str(installed.relative_to(here) if installed.is_relative_to(here) else installed)


def after(command: str, why: str = "") -> None:
    """Says what may be done next, with a command that begins with `meno`."""
    hint = Text("next: ", style="dim") + Text(_there(program() + command.removeprefix("meno")), style="bold")
    if why:
        hint += Text(f"  {why}", style="dim")
    console.print(hint, soft_wrap=True)


def problem(text: object) -> None:
    """Prints what went wrong: one red line."""
    line = Text("Meno: ", style="bold red") + hint(" ".join(str(text).split()), style="")
    errors.print(line, soft_wrap=True)


def hint(text: str, style: str = "yellow") -> Text:
    """What to do; commands of `meno` in it are written as they are called from here."""
    proposed = _PROPOSED.sub(lambda found: f"`{_there(program() + found[1])}`", text)
    return Text(plain(proposed), style=style)


def _there(command: str) -> str:
    """A command that goes where this one was told to go."""
    return " ".join((command, *where))


class Steps:
    """Shows what is being done, and how long each step took."""

    def __init__(self) -> None:
        self._status = errors.status("")
        self._step, self._began = "", 0.0

    def __call__(self, step: str) -> None:
        """Another step begins; with an empty text somebody else shows theirs."""
        self._end("[green]✓[/]")
        self._step, self._began = step, time.monotonic()
        if step:
            self._status.update(step)
            self._status.start()

    def __enter__(self) -> "Steps":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end("[red]✗[/]" if kind else "[green]✓[/]")

    def _end(self, mark: str) -> None:
        self._status.stop()
        if self._step:
            errors.print(f"  {mark} {self._step} {time.monotonic() - self._began:.1f} s")
        self._step = ""


def size(count: float) -> str:
    """Bytes, in the unit that suits them."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def as_json(value: Any) -> None:
    """Prints JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print(_C1.sub(lambda found: f"\\u{ord(found[0]):04x}", text))  # noqa: T201


def _filled(text: str, values: tuple[object, ...]) -> Text:
    """A sentence in the console's markup, with values in which markup means nothing."""
    template = Text.from_markup(text)
    made, begin = Text(), 0
    for found, value in zip(re.finditer(r"\{\}", template.plain), values, strict=True):
        style = template.get_style_at_offset(console, found.start())
        made += template[begin : found.start()] + Text(cell(value).plain, style=style)
        begin = found.end()
    return made + template[begin:]
