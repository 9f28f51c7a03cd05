"""What an operator sets for content_service."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from chassis.models.settings import KeySettings


class Settings(KeySettings):
    """The service's settings, with those of every service."""

    storage_url: str = Field(
        pattern="^(file|s3|gs|az)://",
        description="where files lie: file:///a/directory, s3://bucket/prefix, gs://… or az://…",
    )
    max_file_bytes: int = Field(default=64 * 2**20, ge=1, description="length of the longest file")

    run_worker: bool = Field(default=True, description="process files in the serving process as well")
    worker_concurrency: int = Field(default=1, ge=1, description="files that a process reads at once")
    stalled_after: float = Field(
        default=15, gt=0, description="seconds without a heartbeat after which a worker is taken for dead"
    )
    max_text_characters: int = Field(default=2_000_000, ge=1, description="length of a file's longest text")
    max_pages: int = Field(default=2_000, ge=1, description="pages of the longest PDF")
    extraction_seconds: int = Field(default=60, ge=1, description="time to get the text out of a file")
    extraction_bytes: int = Field(default=2**30, ge=2**27, description="memory to get the text out of a file")

    embedder: Literal["minilm", "openai"] = Field(
        default="minilm", description="minilm runs here; openai is any server that speaks its protocol"
    )
    embedding_threads: int = Field(default=1, ge=1, description="threads that embed passages with minilm")
    model_cache: Path = Field(
        default=Path("~/.cache/meno"), description="directory for the model that is built at first use"
    )
    embedding_base_url: str = Field(default="https://api.openai.com/v1", description="of the openai embedder")
    embedding_model: str = Field(default="", description="model of the openai embedder")
    embedding_dimension: int = Field(default=1536, ge=1, le=16_000, description="of that model's vectors")
    embedding_key: str = Field(
        default="", description="where its key is: env:NAME or file:PATH; never the key itself"
    )

    @model_validator(mode="after")
    def _complete(self) -> "Settings":
        if self.embedder == "openai" and not self.embedding_model:
            raise ValueError("MENO_EMBEDDING_MODEL names the model of MENO_EMBEDDER=openai")
        return self
