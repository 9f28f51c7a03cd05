"""Files in object storage: a directory, or a bucket of an S3-compatible store."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import structlog

from content_service.errors import FileEmpty, FileTooLarge

# The least that S3 takes as a part; an upload holds at most two of them in memory.
_PART_BYTES = 5 * 2**20
_READ_BYTES = 2**20

log = structlog.get_logger()


@dataclass(frozen=True)
class StoredFile:
    """A file that has arrived."""

    key: str
    size: int
    sha256: bytes


class Files:
    """The files of all classes; keys begin with the class."""

    def __init__(self, url: str, max_bytes: int) -> None:
        self._url = url
        self._max_bytes = max_bytes
        if url.startswith("file://"):
            Path(url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)

    @cached_property
    def _store(self) -> Any:
        # With the first file: an idle service does without the 4 MiB of it.
        from obstore.store import from_url

        return from_url(self._url)

    @asynccontextmanager
    async def incoming(
        self, scope_id: str, pieces: AsyncIterator[bytes], is_kept: Callable[[str], Awaitable[bool]]
    ) -> AsyncIterator[StoredFile]:
        """Stores a stream as a new file; deletes it where the body fails and `is_kept` denies its key.

        Raises FileTooLarge or FileEmpty, and then nothing is stored.
        """
        key = f"{scope_id}/{uuid.uuid4()}"
        arriving = _Arriving(self._max_bytes)
        await self._store.put_async(key, arriving.counted(pieces), chunk_size=_PART_BYTES, max_concurrency=1)
        try:
            yield StoredFile(key, arriving.size, arriving.digest.digest())
        except BaseException:
            await self._delete_unless(key, is_kept)
            raise

    async def copy_to(self, key: str, target: IO[bytes]) -> None:
        """Writes a file's bytes to `target`. Raises FileNotFoundError."""
        found = await self._store.get_async(key)
        async for piece in found.stream(min_chunk_size=_READ_BYTES):
            target.write(piece)

    async def delete_all(self, scope_id: str) -> None:
        """Deletes every file of a class."""
        async for found in self._store.list_async(prefix=f"{scope_id}/"):
            await self._store.delete_async([one["path"] for one in found])

    async def _delete_unless(self, key: str, is_kept: Callable[[str], Awaitable[bool]]) -> None:
        """A commit whose answer was lost may have kept the file, so the rows are asked."""
        try:
            if not await is_kept(key):
                await self._store.delete_async(key)
        except Exception as error:
            log.warning("file_left_behind", key=key, error=repr(error))


class _Arriving:
    """Counts and digests a file as it passes."""

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._max_bytes = max_bytes

    async def counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            self.size += len(piece)
            if self.size > self._max_bytes:
                raise FileTooLarge(self._max_bytes)
            self.digest.update(piece)
            if piece:
                yield piece
        if not self.size:
            raise FileEmpty()
