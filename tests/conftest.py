"""The running stack of a worker, and clients of it."""

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
import pytest_asyncio

from deploy.stack.layout import Layout
from tests import local_stack
from tests.installation import Installation


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """A running stack. Each worker that runs such tests starts its own."""
    with local_stack.start(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest_asyncio.fixture
async def installation(layout: Layout) -> AsyncIterator[Installation]:
    """A client of the stack that creates users and their data."""
    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        yield Installation(layout, channel)
