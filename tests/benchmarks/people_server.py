"""Runs identity_service in a separate process, on a port that requires no client certificate.

    python -m tests.benchmarks.people_server DIRECTORY DATABASE_URL

Prints one line of JSON, {pid, port}, when the service is ready, and ends with SIGTERM.
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
from tests.benchmarks.session_server import credentials_without_client_certificate


async def _run(directory: Path, database_url: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    certificates = TestEnvironment(directory).credentials("identity_service").directory
    settings = Settings(
        database_url=database_url,
        secret="a secret of this benchmark, long enough",
        tls_directory=certificates,
        allowed_roles=frozenset({"STUDENT", "TEACHER"}),
    )
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(create_app(settings))
        tasks = [asyncio.ensure_future(task()) for task in app.background]
        await app.security.revocations.ready.wait()
        server = create_server(app)
        port = server.add_secure_port("127.0.0.1:0", credentials_without_client_certificate(certificates))
        await server.start()
        sys.stdout.write(json.dumps({"pid": os.getpid(), "port": port}) + "\n")
        sys.stdout.flush()
        await stop.wait()
        await server.stop(None)
        for task in tasks:
            task.cancel()


def channel(directory: Path, port: int) -> grpc.Channel:
    """Returns a channel to the service in the other process."""
    certificate_authority = (directory / "identity_service" / "ca.pem").read_bytes()
    options = (("grpc.ssl_target_name_override", "identity_service"),)
    return grpc.secure_channel(
        f"127.0.0.1:{port}", grpc.ssl_channel_credentials(certificate_authority), options
    )


if __name__ == "__main__":
    uvloop.run(_run(Path(sys.argv[1]), sys.argv[2]))
