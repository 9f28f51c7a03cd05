"""`python -m deploy.stack --directory DIRECTORY --port PORT`: runs the supervisor in the foreground.

`meno up` starts this process in the background.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from deploy.stack.errors import CliError
from deploy.stack.layout import DEFAULT_PORT, DIRECTORY, Layout
from deploy.stack.supervisor import Supervisor


def main() -> int:
    """Runs the stack until a signal stops it. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.stack")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="directory of the stack")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the gateway")
    parser.add_argument("--allowed-origin", action="append", default=[], help="browser origin that may call")
    options = parser.parse_args()
    layout = Layout(options.directory, options.port, tuple(options.allowed_origin))
    try:
        return asyncio.run(Supervisor(layout).run())
    except CliError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
