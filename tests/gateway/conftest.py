"""The gateway under test, one for each module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateway.gateway_client import GatewayClient, start_gateway


@pytest_asyncio.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayClient]:
    """A gateway with servers for every contract."""
    async with start_gateway(tmp_path_factory.mktemp("gateway")) as started:
        yield started
