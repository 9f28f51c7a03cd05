"""Embeddings of an OpenAI-compatible server, tested against a local server with its wire format."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chassis.errors import ServiceUnavailable
from chassis.testing.model_server import ModelServer, model_server
from content_service.knowledge.embeddings import OpenAIEmbedder


@pytest_asyncio.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


@pytest_asyncio.fixture
async def embedder(model: ModelServer) -> AsyncIterator[OpenAIEmbedder]:
    opened = OpenAIEmbedder(base_url=model.url, model="small", dimension=2, key="a key")
    yield opened
    await opened.close()


async def test_vectors_have_the_order_of_the_texts_and_length_one(
    model: ModelServer, embedder: OpenAIEmbedder
) -> None:
    model.respond_with_vectors([3, 4], [0, 2])
    assert await embedder.embed_documents(["a", "b"]) == [[0.6, 0.8], [0, 1]]
    assert (model.requests[0]["model"], model.requests[0]["input"]) == ("small", ["a", "b"])
    assert "authorization: bearer a key" in model.headers[0].lower()


async def test_vectors_of_another_dimension_are_an_error(
    model: ModelServer, embedder: OpenAIEmbedder
) -> None:
    model.respond_with_vectors([1, 2, 3])
    with pytest.raises(ValueError, match="vectors of 2"):
        await embedder.embed_query("a")


async def test_an_error_of_the_model_is_service_unavailable(
    model: ModelServer, embedder: OpenAIEmbedder
) -> None:
    model.status = 401
    with pytest.raises(ServiceUnavailable):
        await embedder.embed_query("a")
