"""Outlives the supervisor, should that be killed, by as long as it takes to end its programs.

It reads on its standard input which processes there are, `+pid signal` and `-pid`; when the
other end is gone, however it went, it ends those that are left.
"""

import contextlib
import os
import sys


def main() -> None:
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
