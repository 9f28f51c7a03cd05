"""One front for a file of tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateway.front import Front
from tests.gateway.front import front as start_front


@pytest_asyncio.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    """A gateway before every contract."""
    async with start_front(tmp_path_factory.mktemp("front")) as started:
        yield started
