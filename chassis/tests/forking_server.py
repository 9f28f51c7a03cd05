"""A program that answers calls while it starts other programs: `python -m chassis.tests.forking_server`."""

import asyncio

import uvloop
from grpc import aio
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub, add_HealthServicer_to_server

import chassis  # noqa: F401

PROGRAMS = 40


async def main() -> None:
    server = aio.server()
    add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = HealthStub(channel).Check  # type: ignore[attr-defined]

        async def call() -> None:
            while True:
                await check(HealthCheckRequest())

        calling = [asyncio.create_task(call()) for _ in range(4)]
        for _ in range(PROGRAMS):
            program = await asyncio.create_subprocess_exec("true")
            await program.wait()
        for task in calling:
            task.cancel()
        await asyncio.gather(*calling, return_exceptions=True)
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(main())
