"""Embeddings behind an OpenAI-compatible endpoint, against a server that speaks its wire format."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chassis.errors import ServiceUnavailable
from chassis.models.embeddings import OpenAICompatible
from chassis.tests.model_server import ModelServer, model_server


@pytest_asyncio.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


@pytest_asyncio.fixture
async def embedder(model: ModelServer) -> AsyncIterator[OpenAICompatible]:
    opened = OpenAICompatible(base_url=model.url, model="small", dimension=2, key="a key")
    yield opened
    await opened.close()


async def test_vectors_come_in_the_order_of_the_texts_and_have_the_length_one(
    model: ModelServer, embedder: OpenAICompatible
) -> None:
    model.embeds([3, 4], [0, 2])
    assert await embedder.embed_passages(["a", "b"]) == [[0.6, 0.8], [0, 1]]
    assert (model.asked[0]["model"], model.asked[0]["input"]) == ("small", ["a", "b"])
    assert "authorization: bearer a key" in model.headers[0].lower()


async def test_vectors_of_another_length_are_not_taken(
    model: ModelServer, embedder: OpenAICompatible
) -> None:
    model.embeds([1, 2, 3])
    with pytest.raises(ValueError, match="vectors of 2"):
        await embedder.embed_query("a")


async def test_a_model_that_refuses_is_unavailable(model: ModelServer, embedder: OpenAICompatible) -> None:
    model.status = 401
    with pytest.raises(ServiceUnavailable):
        await embedder.embed_query("a")
