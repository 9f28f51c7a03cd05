"""One world for every call of the matrix, and the two ways to the services."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest_asyncio

from chassis.tls import TlsCredentials
from deploy.stack.layout import SERVICES, Layout
from tests import local_stack
from tests.access import dataset as datasets
from tests.access.dataset import Dataset
from tests.contracts.rpcs import Rpc
from tests.installation import Installation


class Ways:
    """Channels to the gateway, and past it to a service."""

    def __init__(self, gateway: grpc.aio.Channel, behind: dict[tuple[str, str], grpc.aio.Channel]) -> None:
        self.gateway = gateway
        self._behind = behind

    def straight(self, rpc: Rpc, peer: str = "gateway") -> grpc.aio.Channel:
        """To the service of an RPC, with the certificate of a peer."""
        return self._behind[serving(rpc), peer]


def serving(rpc: Rpc) -> str:
    """The service that serves an RPC."""
    context = rpc.name.split(".")[1]
    return "identity_service" if context == "access" else f"{context}_service"


@pytest_asyncio.fixture(scope="session")
async def ways(layout: Layout) -> AsyncIterator[Ways]:
    """To the stack of this worker."""
    ports = local_stack.load_state(layout).services
    async with AsyncExitStack() as stack:
        behind = {}
        for service in SERVICES:
            for peer in ("gateway", *SERVICES):
                credentials = TlsCredentials(layout.tls(peer)).channel_credentials()
                options = (("grpc.ssl_target_name_override", service),)
                channel = grpc.aio.secure_channel(f"127.0.0.1:{ports[service][0]}", credentials, options)
                behind[service, peer] = await stack.enter_async_context(channel)
        gateway = grpc.aio.insecure_channel(f"127.0.0.1:{layout.port}")
        yield Ways(await stack.enter_async_context(gateway), behind)


@pytest_asyncio.fixture(scope="session")
async def installation(layout: Layout, ways: Ways) -> Installation:
    """Makes people and what is theirs."""
    return Installation(layout, ways.gateway)


@pytest_asyncio.fixture(scope="session")
async def dataset(installation: Installation) -> Dataset:
    """Everybody and everything."""
    return await datasets.create(installation)
