"""Embeddings: unit vectors of texts. The cosine of two vectors is the similarity of the meanings.

`minilm` runs in the process and needs no network. `OpenAIEmbedder` uses any server with an OpenAI-compatible
API. Vectors of different models are not comparable, so stored vectors have the name and the dimension of their
model.
"""

import math
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from chassis.errors import ServiceUnavailable

Vector: TypeAlias = Sequence[float]
"""A vector of length 1."""


class Embedder(Protocol):
    """An embedding model."""

    name: str
    """The name of the model, stored with its vectors."""
    dimension: int

    async def embed_query(self, text: str) -> Vector:
        """Returns the vector of a query. Text beyond the limit of the model is ignored.

        Raises ServiceUnavailable if the model does not answer.
        """

    async def embed_documents(self, texts: Sequence[str]) -> list[Vector]:
        """Returns the vectors of texts, in order. Raises ServiceUnavailable if the model does not answer."""

    async def close(self) -> None:
        """Releases the resources of the model."""


class OpenAIEmbedder:
    """A model of a server with an OpenAI-compatible embeddings endpoint."""

    _BATCH = 64
    _MAX_CHARACTERS = 8_000
    _MAX_BYTES_PER_NUMBER = 40
    """With the digits of a double, separators and indentation."""

    def __init__(self, *, base_url: str, model: str, dimension: int, key: str) -> None:
        """`dimension` is that of the vectors of the model; other vectors are an error."""
        from openai import AsyncOpenAI

        from chassis.models.http_client import create_http_client

        self.name = model
        self.dimension = dimension
        # A hundred numbers more leave room for the other fields of a vector.
        max_bytes = self._BATCH * (dimension + 100) * self._MAX_BYTES_PER_NUMBER
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=key,
            timeout=20,
            max_retries=2,
            http_client=create_http_client(max_bytes=max_bytes),
        )

    async def embed_query(self, text: str) -> Vector:
        [vector] = await self._embed([text])
        return vector

    async def embed_documents(self, texts: Sequence[str]) -> list[Vector]:
        vectors: list[Vector] = []
        for start in range(0, len(texts), self._BATCH):
            vectors += await self._embed(texts[start : start + self._BATCH])
        return vectors

    async def close(self) -> None:
        await self._client.close()

    async def _embed(self, texts: Sequence[str]) -> list[Vector]:
        from openai import APIError

        try:
            reply = await self._client.embeddings.create(
                model=self.name,
                input=[text[: self._MAX_CHARACTERS] for text in texts],
                encoding_format="float",
            )
        except APIError as error:
            raise ServiceUnavailable("The embedding model does not answer. Try again.") from error
        vectors = [item.embedding for item in sorted(reply.data, key=lambda item: item.index)]
        if [len(vector) for vector in vectors] != [self.dimension] * len(texts):
            raise ValueError(f"{self.name} did not answer with {len(texts)} vectors of {self.dimension}")
        return [_unit(vector) for vector in vectors]


def to_pgvector(vector: Vector) -> str:
    """Returns a vector in pgvector's text format. Half precision has fewer than five significant digits."""
    return "[" + ",".join([f"{value:.5g}" for value in vector]) + "]"


def _unit(vector: Sequence[float]) -> Vector:
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]
