"""Measures GetSession against a peer and against an empty handler, and the cost of the gateway.

All targets are measured in short rounds, in alternating order. A figure is the median of its rounds, and a
ratio is the median of the ratios of the rounds.
"""

import statistics
from dataclasses import dataclass, field

import psutil

from tests.benchmarks.load import LoadGenerator, Target
from tests.benchmarks.report import Progress, Row
from tests.benchmarks.targets import Targets, targets
from tests.benchmarks.thresholds import GATEWAY_AGAINST_EMPTY, GATEWAY_AGAINST_PEER, GATEWAY_SHARE

WARM_UP = 2000
"""The number of calls before the first round."""


@dataclass
class Measured:
    """A target and the figures of its rounds."""

    target: Target
    pid: int
    """The id of the process that responds."""
    rates: list[float] = field(default_factory=list)
    """Calls per second."""
    costs: list[float] = field(default_factory=list)
    """CPU time of the process per call, in microseconds."""
    _expected_rate: float = 0

    def warm_up(self, generator: LoadGenerator) -> None:
        """Fills caches, opens connections and measures the approximate rate."""
        self._expected_rate = generator.run(self.target, WARM_UP)

    def measure_round(self, generator: LoadGenerator, seconds: float) -> None:
        """Measures one round of approximately this duration."""
        calls = int(self._expected_rate * seconds)
        before = _cpu_seconds(self.pid)
        self.rates.append(generator.run(self.target, calls))
        self.costs.append(1e6 * (_cpu_seconds(self.pid) - before) / calls)


def measure(generator: LoadGenerator, *, quick: bool, progress: Progress) -> list[Row]:
    """Returns the rows of the read path."""
    rounds, seconds = (3, 1.0) if quick else (7, 1.5)
    with targets(progress) as found:
        measured = {name: Measured(target, pid) for name, (target, pid) in found._asdict().items()}
        for name, one in measured.items():
            progress(f"warming up: {name}")
            one.warm_up(generator)
        for number in range(rounds):
            order = [*measured.items()]
            for name, one in order if number % 2 else reversed(order):
                progress(f"round {number + 1} of {rounds}: {name}")
                one.measure_round(generator, seconds)
    return _rows(Targets(**measured))


def _rows(found: Targets[Measured]) -> list[Row]:
    rates = [
        (GATEWAY_AGAINST_PEER, found.gateway, found.peer),
        ("GetSession direct, against FastAPI + async ORM", found.direct, found.peer),
        (GATEWAY_AGAINST_EMPTY, found.gateway, found.empty_gateway),
        ("GetSession direct, against the empty handler direct", found.direct, found.empty_direct),
        (GATEWAY_SHARE, found.empty_gateway, found.empty_direct),
        ("GetSession through the gateway, against direct", found.gateway, found.direct),
    ]
    rows = [_row(name, one.rates, "calls/s", other.rates) for name, one, other in rates]
    name = "CPU time of the process that serves GetSession, against FastAPI + async ORM"
    return [*rows, _row(name, found.gateway.costs, "µs/call", found.peer.costs)]


def _row(name: str, values: list[float], unit: str, baselines: list[float]) -> Row:
    ratios = [value / baseline for value, baseline in zip(values, baselines, strict=True)]
    median = statistics.median
    return Row(name, median(values), unit, median(baselines), median(ratios))


def _cpu_seconds(pid: int) -> float:
    spent = psutil.Process(pid).cpu_times()
    return float(spent.user + spent.system)
