"""One dataset and one deployment that all tests of the matrix share."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest_asyncio

from chassis.tls import TlsCredentials
from deploy.stack.layout import SERVICES, Layout
from tests import local_stack
from tests.access import dataset as datasets
from tests.access.dataset import Dataset
from tests.access.deployment import Deployment
from tests.installation import Installation


@pytest_asyncio.fixture(scope="session")
async def deployment(layout: Layout) -> AsyncIterator[Deployment]:
    """The stack of this worker."""
    ports = local_stack.load_state(layout).services
    async with AsyncExitStack() as stack:
        direct = {}
        for service in SERVICES:
            for peer in ("gateway", *SERVICES):
                credentials = TlsCredentials(layout.tls(peer)).channel_credentials()
                options = (("grpc.ssl_target_name_override", service),)
                channel = grpc.aio.secure_channel(f"127.0.0.1:{ports[service][0]}", credentials, options)
                direct[service, peer] = await stack.enter_async_context(channel)
        gateway = grpc.aio.insecure_channel(f"127.0.0.1:{layout.port}")
        yield Deployment(await stack.enter_async_context(gateway), direct)


@pytest_asyncio.fixture(scope="session")
async def installation(layout: Layout, deployment: Deployment) -> Installation:
    """A client that creates users and their data."""
    return Installation(layout, deployment.gateway)


@pytest_asyncio.fixture(scope="session")
async def dataset(installation: Installation) -> Dataset:
    """The users, classes and resources of the matrix."""
    return await datasets.create(installation)
