"""identity_service in a process of its own, on a port that asks for no certificate.

    python -m tests.benchmarks.people_serving DIRECTORY DATABASE_URL

Prints one line of JSON, {pid, port}, when it serves; ends with SIGTERM.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import uvloop

from chassis.server import create_server
from chassis.testing import TestEnvironment
from identity_service.app import create_app
from identity_service.settings import Settings
from tests.benchmarks.serving import open_to_all


async def _run(directory: Path, database_url: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    certificates = TestEnvironment(directory).credentials("identity_service").directory
    settings = Settings(
        database_url=database_url,
        secret="a secret of this benchmark, long enough",
        tls_directory=certificates,
        offered_roles=frozenset({"STUDENT", "TEACHER"}),
    )
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(create_app(settings))
        working = [asyncio.ensure_future(task()) for task in app.background]
        await app.security.revocations.ready.wait()
        serving = create_server(app)
        port = serving.add_secure_port("127.0.0.1:0", open_to_all(certificates))
        await serving.start()
        sys.stdout.write(json.dumps({"pid": os.getpid(), "port": port}) + "\n")
        sys.stdout.flush()
        await stop.wait()
        await serving.stop(None)
        for task in working:
            task.cancel()


def channel(directory: Path, port: int) -> grpc.Channel:
    """A channel to the service that the process serves."""
    authority = (directory / "identity_service" / "ca.pem").read_bytes()
    options = (("grpc.ssl_target_name_override", "identity_service"),)
    return grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(authority), options)


if __name__ == "__main__":
    uvloop.run(_run(Path(sys.argv[1]), sys.argv[2]))
