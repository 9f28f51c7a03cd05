"""A service that starts another program keeps its connections."""

import subprocess
import sys


def test_grpc_handles_no_fork() -> None:
    # gRPC logs each fork that it does not handle because of running calls. uvloop forks; asyncio does not.
    server = subprocess.run(
        [sys.executable, "-m", "chassis.tests.forking_server"], capture_output=True, text=True, check=False
    )
    assert server.returncode == 0
    assert "fork_posix" not in server.stderr
