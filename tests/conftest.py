"""One running stack for all tests of a worker that ask for it."""

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
import pytest_asyncio

from deploy.stack.layout import Layout
from tests import running
from tests.school import School


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """The stack of this worker."""
    with running.stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest_asyncio.fixture
async def school(layout: Layout) -> AsyncIterator[School]:
    """The people of a test."""
    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        yield School(layout, channel)
