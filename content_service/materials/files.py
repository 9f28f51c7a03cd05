"""Files in object storage: a directory, or a bucket of an S3-compatible store."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from chassis.telemetry import get_logger
from content_service.errors import FileEmpty, FileTooLarge

# The minimum size of an S3 part. An upload has at most two parts in memory.
_PART_BYTES = 5 * 2**20
_READ_BYTES = 2**20

log = get_logger()


@dataclass(frozen=True)
class StoredFile:
    """A file that has been uploaded."""

    key: str
    size: int
    sha256: bytes


class FileStore:
    """The files of all classes. Each key begins with the id of the class."""

    def __init__(self, url: str, max_bytes: int) -> None:
        self._url = url
        self._max_bytes = max_bytes
        if url.startswith("file://"):
            Path(url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)

    @cached_property
    def _store(self) -> Any:
        # Imported at the first use, because it takes 4 MiB of memory.
        from obstore.store import from_url

        return from_url(self._url)

    @asynccontextmanager
    async def upload(
        self, scope_id: str, pieces: AsyncIterator[bytes], is_referenced: Callable[[str], Awaitable[bool]]
    ) -> AsyncIterator[StoredFile]:
        """Stores a stream as a new file. Raises FileTooLarge or FileEmpty, and then stores nothing.

        If the body of the context raises, the file is deleted unless `is_referenced` returns true for its key.
        """
        key = f"{scope_id}/{uuid.uuid4()}"
        reader = _CountingReader(self._max_bytes)
        await self._store.put_async(key, reader.read(pieces), chunk_size=_PART_BYTES, max_concurrency=1)
        try:
            yield StoredFile(key, reader.size, reader.digest.digest())
        except BaseException:
            await self._delete_unless(key, is_referenced)
            raise

    async def copy_to(self, key: str, target: IO[bytes]) -> None:
        """Writes the bytes of a file to `target`. Raises FileNotFoundError."""
        found = await self._store.get_async(key)
        async for piece in found.stream(min_chunk_size=_READ_BYTES):
            target.write(piece)

    async def delete_all(self, scope_id: str) -> None:
        """Deletes every file of a class."""
        async for found in self._store.list_async(prefix=f"{scope_id}/"):
            await self._store.delete_async([one["path"] for one in found])

    async def _delete_unless(self, key: str, is_referenced: Callable[[str], Awaitable[bool]]) -> None:
        """Deletes a file unless a row references it.

        The row exists if the transaction was committed and only the reply to the commit was lost.
        """
        try:
            if not await is_referenced(key):
                await self._store.delete_async(key)
        except Exception as error:
            log.warning("file_not_deleted", key=key, error=repr(error))


class _CountingReader:
    """Counts the bytes of a stream and computes their digest."""

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._max_bytes = max_bytes

    async def read(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yields the pieces. Raises FileTooLarge or FileEmpty."""
        async for piece in pieces:
            self.size += len(piece)
            if self.size > self._max_bytes:
                raise FileTooLarge(self._max_bytes)
            self.digest.update(piece)
            if piece:
                yield piece
        if not self.size:
            raise FileEmpty()
