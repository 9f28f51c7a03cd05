"""Rows of the report: what was measured, against what, and whether it reaches its bar."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table

from tests.benchmarks.thresholds import BARS, Bar

Say: TypeAlias = Callable[[str], None]
"""Shows what is being done."""


@dataclass(frozen=True)
class Row:
    """One figure. Without a value, `remark` says why there is none."""

    name: str
    value: float | None = None
    unit: str = ""
    baseline: float | None = None
    """Measured in the same run."""
    ratio: float | None = None
    """Of value to baseline: where several rounds were run, the median of the rounds' ratios."""
    remark: str = ""

    @property
    def bar(self) -> Bar | None:
        """What it is held against."""
        return BARS.get(self.name)

    @property
    def judged(self) -> float | None:
        """The figure that is held against the bar."""
        if self.bar is None:
            return None
        return self.value if self.bar.of_value else self.ratio

    def entry(self) -> dict[str, Any]:
        """As bench.json has it; a value with no other baseline has its bar for one."""
        baseline, ratio = self.baseline, self.ratio
        if baseline is None and self.value is not None and self.bar is not None and self.bar.of_value:
            baseline, ratio = self.bar.good, self.value / self.bar.good
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit if self.value is not None else self.remark,
            "baseline": _rounded(baseline),
            "ratio": _rounded(ratio),
        }


def save(rows: Iterable[Row], file: Path) -> None:
    """Writes bench.json."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([row.entry() for row in rows], indent=2) + "\n")


def table(rows: Sequence[Row], title: str) -> Table:
    """The table that is printed."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    shown.add_column("what", ratio=1)
    for column in ("measured", "against", "ratio", "bar", "beyond"):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for row in rows:
        shown.add_row(*_cells(row))
    return shown


def _cells(row: Row) -> list[str]:
    if row.value is None:
        return [row.name, f"[dim]{row.remark}[/]", "", "", "", "", ""]
    measured = f"{_figure(row.value)} {row.unit}"
    against = _figure(row.baseline) if row.baseline is not None else ""
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    if row.bar is None or row.judged is None:
        return [row.name, measured, against, ratio, "", "", ""]
    sign = "≥" if row.bar.more_is_better else "≤"
    good, great = (f"{sign} {limit:g}" for limit in (row.bar.good, row.bar.great))
    return [row.name, measured, against, ratio, good, great, row.bar.verdict(row.judged)]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
