"""Ends the programs of a supervisor that was killed.

Standard input registers processes with `+pid signal` and removes them with `-pid`. When it closes,
because the supervisor has ended for any reason, the remaining processes are ended.
"""

import contextlib
import os
import sys


def main() -> None:
    """Reads registrations until standard input closes, then ends the remaining process groups."""
    running: dict[int, int] = {}
    for line in sys.stdin:
        pid, _, number = line[1:].partition(" ")
        if line.startswith("+"):
            running[int(pid)] = int(number)
        else:
            running.pop(int(pid), None)
    for pid, number in running.items():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)


if __name__ == "__main__":
    main()
