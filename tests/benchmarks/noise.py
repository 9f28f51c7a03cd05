"""How much of the machine other programs took while something was measured."""

import time

import psutil


class Neighbours:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = _busy_seconds() - _own_seconds()

    @property
    def share(self) -> float:
        """Of all the CPU time that there was."""
        taken = _busy_seconds() - _own_seconds() - self._before
        there_was = (time.monotonic() - self._began) * (psutil.cpu_count() or 1)
        return max(0.0, taken / there_was)


def _busy_seconds() -> float:
    times = psutil.cpu_times()._asdict()
    # A virtual machine's guests are counted among user and nice.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(seconds for kind, seconds in times.items() if kind not in idle))


def _own_seconds() -> float:
    """Of this process, of those it started, and of those that have ended among them."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(_seconds(process) for process in processes)


def _seconds(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:
        return 0.0
