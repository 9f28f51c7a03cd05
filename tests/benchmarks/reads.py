"""GetSession by us and by a peer, the empty handler, and what the gateway costs.

All targets are loaded in turn, in short rounds, forwards and backwards by turns; a figure is
the median of its rounds, and a ratio the median of the ratios within each round.
"""

import statistics
from dataclasses import dataclass, field

import psutil

from tests.benchmarks.load import Load, Target
from tests.benchmarks.report import Row, Say
from tests.benchmarks.targets import Targets, targets
from tests.benchmarks.thresholds import GATEWAY_SHARE, THROUGH_AGAINST_EMPTY, THROUGH_AGAINST_PEER

WARM_UP = 2000
"""Calls before the first round."""


@dataclass
class Measured:
    """A target, and what each round found."""

    target: Target
    pid: int
    """Of the process that answers."""
    rates: list[float] = field(default_factory=list)
    """Calls a second."""
    costs: list[float] = field(default_factory=list)
    """Microseconds of that process's CPU time a call."""
    _expected: float = 0

    def warm_up(self, load: Load) -> None:
        """Lets caches fill and connections open, and sees how fast it is."""
        self._expected = load.run(self.target, WARM_UP)

    def round(self, load: Load, seconds: float) -> None:
        """Loads the target for about so long."""
        calls = int(self._expected * seconds)
        before = _cpu_seconds(self.pid)
        self.rates.append(load.run(self.target, calls))
        self.costs.append(1e6 * (_cpu_seconds(self.pid) - before) / calls)


def measure(load: Load, *, quick: bool, say: Say) -> list[Row]:
    """The rows of the read path."""
    rounds, seconds = (3, 1.0) if quick else (7, 1.5)
    with targets(say) as found:
        measured = {name: Measured(target, pid) for name, (target, pid) in found._asdict().items()}
        for name, one in measured.items():
            say(f"warming up: {name}")
            one.warm_up(load)
        for number in range(rounds):
            order = [*measured.items()]
            for name, one in order if number % 2 else reversed(order):
                say(f"round {number + 1} of {rounds}: {name}")
                one.round(load, seconds)
    return _rows(Targets(**measured))


def _rows(of: Targets[Measured]) -> list[Row]:
    rates = [
        (THROUGH_AGAINST_PEER, of.through, of.peer),
        ("GetSession direct, against FastAPI + async ORM", of.direct, of.peer),
        (THROUGH_AGAINST_EMPTY, of.through, of.empty_through),
        ("GetSession direct, against the empty handler direct", of.direct, of.empty_direct),
        (GATEWAY_SHARE, of.empty_through, of.empty_direct),
        ("GetSession through the gateway, against direct", of.through, of.direct),
    ]
    rows = [_row(name, one.rates, "calls/s", other.rates) for name, one, other in rates]
    name = "CPU time of the process that serves GetSession, against FastAPI + async ORM"
    return [*rows, _row(name, of.through.costs, "µs a call", of.peer.costs)]


def _row(name: str, values: list[float], unit: str, baselines: list[float]) -> Row:
    ratios = [value / baseline for value, baseline in zip(values, baselines, strict=True)]
    middle = statistics.median
    return Row(name, middle(values), unit, middle(baselines), middle(ratios))


def _cpu_seconds(pid: int) -> float:
    spent = psutil.Process(pid).cpu_times()
    return float(spent.user + spent.system)
