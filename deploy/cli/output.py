"""Output of the commands: text and tables for people, JSON for programs, and errors as one red line."""

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

_PIPE_COLUMNS = 240
"""Width of output that is not a terminal. Readers of a pipe want whole lines."""

_UNLIMITED_COLUMNS = 10_000
"""A width at which every row fits on one line."""

_COMMAND = re.compile("`meno( [^`]+)`")
_C1_CONTROLS = re.compile("[\x7f-\x9f]")


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _PIPE_COLUMNS
    return Console(highlight=False, stderr=stderr, width=width)


console = _console()
errors = _console(stderr=True)


target_options: list[str] = []
"""The options of this command that choose its target. Suggested commands repeat them."""


def sanitize(text: str) -> str:
    """Returns a text with control characters replaced, because they could manipulate the terminal."""
    return "".join("�" if unicodedata.category(one) in {"Cc", "Cf"} else one for one in text)


def cell(value: object, style: str = "") -> Text:
    """Returns a table cell. Times are in the local time zone."""
    if isinstance(value, datetime):
        value = f"{value.astimezone():%Y-%m-%d %H:%M}" if value.timestamp() else ""
    return Text(sanitize(str(value)), style=style)


def table(*columns: str, no_wrap: Iterable[str] = ()) -> Table:
    """Returns an empty table. Columns in `no_wrap`, such as ids, are never truncated or wrapped."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, no_wrap=column in no_wrap, overflow="ignore" if column in no_wrap else "fold")
    return made


def print_list(rows: Table, count: int, limit: int, one: str, many: str) -> None:
    """Prints a table with its number of rows, and how to see more if the limit was reached."""
    if not count:
        print_text(f"No {many} found.")
        return
    console.print(rows)
    more = f"; there may be more: use --limit {limit * 10}, or --limit 0 for all" if count == limit else ""
    print_text(f"[dim]{pluralize(count, one, many)}{more}[/]")


def pluralize(count: int, one: str, many: str) -> str:
    """Returns a count with its noun."""
    return f"{count} {one if count == 1 else many}"


def fit_columns(rows: Table) -> Table:
    """Returns the table, or one with two lines a row if the terminal is too narrow for it."""
    if Measurement.get(console, console.options.update(max_width=_UNLIMITED_COLUMNS), rows).maximum <= (
        console.width
    ):
        return rows
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(overflow="fold")
    for first, *rest in zip(*(column.cells for column in rows.columns), strict=True):
        made.add_row(first)
        made.add_row(Text(" · ").join(one for one in rest if isinstance(one, Text) and one.plain))
    return made


def print_table(rows: RenderableType) -> None:
    """Prints a table."""
    console.print(rows)


def print_fields(fields: Mapping[str, object]) -> None:
    """Prints one resource, a line for each field that is not empty."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in fields.items():
        text = value if isinstance(value, Text) else cell(value)
        if text.plain:
            made.add_row(name, text)
    console.print(made)


def print_text(text: str, *values: object) -> None:
    """Prints a sentence in console markup. Each `{}` is replaced by a value, in which markup has no effect."""
    console.print(_fill(text, values), soft_wrap=True)


@functools.cache
def command_path() -> str:
    """Returns how the user calls `meno`: by its name, or by its path if it is not on PATH."""
    installed = Path(sys.executable).with_name("meno")
    found = shutil.which("meno")
    if found and Path(found).resolve() == installed.resolve():
        return "meno"
    here = Path.cwd()
    return str(installed.relative_to(here) if installed.is_relative_to(here) else installed)


def print_next_step(command: str, purpose: str = "") -> None:
    """Prints the suggested next command, which begins with `meno`, and what it does."""
    qualified = qualify(command)
    hint = Text("next: ", style="dim") + Text(qualified, style="bold")
    if purpose:
        hint += Text(f"  {purpose}", style="dim")
    console.print(hint, soft_wrap=True)


def print_error(text: object) -> None:
    """Prints an error as one red line."""
    line = Text("Meno: ", style="bold red") + format_hint(" ".join(str(text).split()), style="")
    errors.print(line, soft_wrap=True)


def format_hint(text: str, style: str = "yellow") -> Text:
    """Returns a hint in which every `meno` command is written as the user has to call it."""
    qualified = _COMMAND.sub(lambda found: f"`{qualify(f'meno{found[1]}')}`", text)
    return Text(sanitize(qualified), style=style)


def qualify(command: str) -> str:
    """Returns a command, which begins with `meno`, as the user has to call it for the target of this one."""
    return " ".join((command_path() + command.removeprefix("meno"), *target_options))


class Steps:
    """Shows the current step of a long command, and the duration of each finished step."""

    def __init__(self) -> None:
        self._status = errors.status("")
        self._step, self._began = "", 0.0

    def __call__(self, step: str) -> None:
        """Begins a step. An empty text pauses the display while another part shows its own steps."""
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


def format_size(count: float) -> str:
    """Returns a number of bytes in a suitable unit."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def print_json(value: Any) -> None:
    """Prints JSON, with control characters escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print(_C1_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))  # noqa: T201


def _fill(text: str, values: tuple[object, ...]) -> Text:
    """Returns a text in console markup with its `{}` replaced by values."""
    template = Text.from_markup(text)
    made, begin = Text(), 0
    for found, value in zip(re.finditer(r"\{\}", template.plain), values, strict=True):
        style = template.get_style_at_offset(console, found.start())
        made += template[begin : found.start()] + Text(cell(value).plain, style=style)
        begin = found.end()
    return made + template[begin:]
