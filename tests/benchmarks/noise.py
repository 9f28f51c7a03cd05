"""Measures the CPU time that other programs use during a measurement."""

import time

import psutil


class NoiseMeter:
    """Measures from its creation on."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._before = _busy_seconds() - _own_seconds()

    @property
    def share(self) -> float:
        """The CPU time of other programs, as a share of the available CPU time."""
        used = _busy_seconds() - _own_seconds() - self._before
        available = (time.monotonic() - self._started) * (psutil.cpu_count() or 1)
        return max(0.0, used / available)


def _busy_seconds() -> float:
    times = psutil.cpu_times()._asdict()
    # The times of user and nice already contain those of guest and guest_nice.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(seconds for kind, seconds in times.items() if kind not in idle))


def _own_seconds() -> float:
    """Returns the CPU time of this process and its descendants, including the ones that have ended."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(_seconds(process) for process in processes)


def _seconds(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:
        return 0.0
