"""The gateway under test, one for each module."""

import uuid
from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest
import pytest_asyncio

from tests.gateway.gateway_client import CLASS, GatewayClient, start_gateway
from tests.local_stack import GUARD_SECONDS


@pytest_asyncio.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayClient]:
    """A gateway with servers for every contract."""
    async with start_gateway(tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest_asyncio.fixture(scope="module")
async def http(gateway: GatewayClient) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the gateway."""
    async with httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=GUARD_SECONDS) as client:
        yield client


@pytest.fixture
def token(gateway: GatewayClient) -> str:
    """The token of a user of only this test, so that tests do not share rate limits."""
    return gateway.env.issuer.token(str(uuid.uuid4()), role="TEACHER", classes={CLASS: "TEACHER"})
