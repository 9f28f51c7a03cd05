"""The settings of content_service."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from chassis.models.settings import KeySettings


class Settings(KeySettings):
    """The settings of this service and those of every service."""

    storage_url: str = Field(
        pattern="^(file|s3|gs|az)://",
        description="object storage for files: file:///a/directory, s3://bucket/prefix, gs://… or az://…",
    )
    max_file_bytes: int = Field(
        default=64 * 2**20, ge=1, description="maximum size of an uploaded file in bytes"
    )

    class_upload_bytes_per_day: int = Field(
        default=4 << 30,
        ge=2**20,
        description="maximum bytes of the files uploaded to a class in 24 hours; each file counts as 1 MiB or more",
    )

    run_worker: bool = Field(default=True, description="process files in the serving process, too")
    worker_concurrency: int = Field(
        default=2, ge=1, description="files that one process works on at the same time, each of another class"
    )
    stalled_after: float = Field(
        default=15,
        gt=0,
        description="seconds without a heartbeat after which the jobs of a worker are retried",
    )
    max_text_characters: int = Field(
        default=2_000_000, ge=1, description="maximum characters in the text of a file"
    )
    max_pages: int = Field(default=2_000, ge=1, description="maximum number of pages of a PDF")
    extraction_seconds: int = Field(
        default=60, ge=1, description="maximum seconds to extract the text of a file, and to split it"
    )
    extraction_bytes: int = Field(
        default=2**30,
        ge=2**27,
        description="maximum bytes of memory to extract a text",
    )

    embedder: Literal["minilm", "openai"] = Field(
        default="minilm",
        description="minilm runs in the process; openai is any server with an OpenAI-compatible API",
    )
    embedding_threads: int = Field(default=1, ge=1, description="threads that embed chunks with minilm")
    model_cache: Path = Field(
        default=Path("~/.cache/meno"),
        description="directory for the converted model, which is built at its first use",
    )
    embedding_base_url: str = Field(
        default="https://api.openai.com/v1", description="base URL of the openai embedder"
    )
    embedding_model: str = Field(default="", description="model of the openai embedder")
    embedding_dimension: int = Field(default=1536, ge=1, le=16_000, description="dimension of its vectors")
    embedding_key: str = Field(
        default="", description="reference to the API key of the openai embedder: env:NAME or file:PATH"
    )

    @model_validator(mode="after")
    def _complete(self) -> "Settings":
        if self.embedder == "openai" and not self.embedding_model:
            raise ValueError("MENO_EMBEDDING_MODEL must be set if MENO_EMBEDDER is openai")
        return self
