"""The rows of the report: each figure with its baseline and its threshold."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table

from tests.benchmarks.thresholds import THRESHOLDS, Threshold

Progress: TypeAlias = Callable[[str], None]
"""Shows the current step."""


@dataclass(frozen=True)
class Row:
    """One figure. If there is no value, `remark` gives the reason."""

    name: str
    value: float | None = None
    unit: str = ""
    baseline: float | None = None
    """A figure of the same run to compare with."""
    ratio: float | None = None
    """The ratio of value to baseline. With several rounds it is the median of their ratios."""
    remark: str = ""

    @property
    def threshold(self) -> Threshold | None:
        """The threshold of the row, if it has one."""
        return THRESHOLDS.get(self.name)

    @property
    def compared_figure(self) -> float | None:
        """The figure that the threshold applies to."""
        if self.threshold is None:
            return None
        return self.value if self.threshold.of_value else self.ratio

    def entry(self) -> dict[str, Any]:
        """Returns the row for bench.json. A value without a baseline is compared with its threshold."""
        baseline, ratio = self.baseline, self.ratio
        limit = self.threshold
        if baseline is None and self.value is not None and limit is not None and limit.of_value:
            baseline, ratio = limit.required, self.value / limit.required
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit if self.value is not None else self.remark,
            "baseline": _rounded(baseline),
            "ratio": _rounded(ratio),
        }


def save(rows: Iterable[Row], file: Path) -> None:
    """Writes the rows to a JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([row.entry() for row in rows], indent=2) + "\n")


def table(rows: Sequence[Row], title: str) -> Table:
    """Returns the table to print."""
    printed = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    printed.add_column("figure", ratio=1)
    for column in ("value", "baseline", "ratio", "threshold", "goal"):
        printed.add_column(column, justify="right", no_wrap=True)
    printed.add_column("", no_wrap=True)
    for row in rows:
        printed.add_row(*_cells(row))
    return printed


def _cells(row: Row) -> list[str]:
    if row.value is None:
        return [row.name, f"[dim]{row.remark}[/]", "", "", "", "", ""]
    value = f"{_figure(row.value)} {row.unit}"
    baseline = _figure(row.baseline) if row.baseline is not None else ""
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    if row.threshold is None or row.compared_figure is None:
        return [row.name, value, baseline, ratio, "", "", ""]
    sign = "≥" if row.threshold.more_is_better else "≤"
    required, goal = (f"{sign} {limit:g}" for limit in (row.threshold.required, row.threshold.goal))
    return [row.name, value, baseline, ratio, required, goal, row.threshold.verdict(row.compared_figure)]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
