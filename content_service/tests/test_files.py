"""The file store in a directory: only complete uploads are stored."""

import asyncio
import hashlib
import io
import re
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_service.errors import FileEmpty, FileTooLarge
from content_service.materials import rules
from content_service.materials.files import FileStore

SCOPE = str(uuid.uuid4())
# More than one part, so that a part is on disk before the upload is complete.
PART = b"x" * (6 * 2**20)
MAX_BYTES = 4 * len(PART)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def files(directory: Path) -> FileStore:
    return FileStore(f"file://{directory}", MAX_BYTES)


def list_files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


async def wait_until_empty(directory: Path) -> None:
    """Returns when no file is left. A thread of the object store deletes incomplete files."""
    async with asyncio.timeout(60):
        while list_files(directory):
            await asyncio.to_thread(time.sleep, 0.001)


async def is_unreferenced(key: str) -> bool:
    return False


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_file_is_read_as_it_was_uploaded(files: FileStore, directory: Path) -> None:
    async with files.upload(SCOPE, stream(b"one ", b"", b"two"), is_unreferenced) as stored:
        assert (stored.size, stored.sha256) == (7, hashlib.sha256(b"one two").digest())
    copy = io.BytesIO()
    await files.copy_to(stored.key, copy)
    assert copy.getvalue() == b"one two"
    [path] = list_files(directory)
    assert str(path.relative_to(directory)) == stored.key
    assert path.parent.name == SCOPE


async def test_a_file_of_several_parts_is_stored_completely(files: FileStore, directory: Path) -> None:
    async with files.upload(SCOPE, stream(PART, b"y", PART), is_unreferenced) as stored:
        assert stored.size == 2 * len(PART) + 1
    [path] = list_files(directory)
    assert path.read_bytes() == PART + b"y" + PART


@pytest.mark.parametrize(
    ("pieces", "error"),
    [((), FileEmpty), ((b"", b""), FileEmpty), ((PART, PART, PART, PART, b"x"), FileTooLarge)],
)
async def test_an_empty_or_too_large_file_is_not_stored(
    files: FileStore, directory: Path, pieces: tuple[bytes, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        async with files.upload(SCOPE, stream(*pieces), is_unreferenced):
            pytest.fail("the upload was accepted")
    await wait_until_empty(directory)


async def test_an_upload_that_fails_stores_nothing(files: FileStore, directory: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield PART
        yield PART
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with files.upload(SCOPE, broken(), is_unreferenced):
            pytest.fail("the upload was accepted")
    await wait_until_empty(directory)


async def test_a_cancelled_upload_stores_nothing(files: FileStore, directory: Path) -> None:
    arrived = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield PART
        yield PART
        arrived.set()
        await asyncio.Event().wait()

    async def upload() -> None:
        async with files.upload(SCOPE, stuck(), is_unreferenced):
            pytest.fail("the upload was accepted")

    uploading = asyncio.create_task(upload())
    await arrived.wait()
    assert list_files(directory)
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    await wait_until_empty(directory)


@pytest.mark.parametrize("referenced", [True, False])
async def test_after_a_failed_transaction_a_file_is_deleted_unless_a_row_references_it(
    files: FileStore, directory: Path, referenced: bool
) -> None:
    async def answer(key: str) -> bool:
        return referenced

    with pytest.raises(RuntimeError):
        async with files.upload(SCOPE, stream(b"x"), answer):
            raise RuntimeError("the reply to the commit was lost")
    assert len(list_files(directory)) == referenced


async def test_a_file_is_kept_if_the_database_is_unavailable(files: FileStore, directory: Path) -> None:
    async def unknown(key: str) -> bool:
        raise ConnectionRefusedError

    with pytest.raises(RuntimeError):
        async with files.upload(SCOPE, stream(b"x"), unknown):
            raise RuntimeError("the database is unavailable")
    assert len(list_files(directory)) == 1


async def test_reading_a_missing_file_raises(files: FileStore) -> None:
    with pytest.raises(FileNotFoundError):
        await files.copy_to(f"{SCOPE}/{uuid.uuid4()}", io.BytesIO())


@given(st.text(max_size=200))
def test_a_file_name_is_visible_and_without_directories(file_name: str) -> None:
    name = rules.clean_file_name(file_name)
    assert "/" not in name
    assert "\\" not in name
    assert re.sub("[\u200c\u200d]", "", name).isprintable()
    assert not set(name) & set("\u034f\u115f\u1160\u2800\u3164\uffa0")
    assert name == name.strip(" \u200c\u200d")
    assert rules.clean_file_name(name) == name


@given(given_title=st.text(max_size=200), name=st.text(min_size=1, max_size=200))
def test_every_material_has_a_title(given_title: str, name: str) -> None:
    name = rules.clean_file_name(name) or "notes.md"
    title = rules.material_title(given_title, name)
    assert 0 < len(title) <= 200
    assert title in (given_title, given_title.strip()) or title in name


@pytest.mark.parametrize(
    ("content_type", "file_name", "expected"),
    [
        ("", "a.md", rules.MARKDOWN),
        ("", "a.PDF", rules.PDF),
        ("", "a.b.markdown", rules.MARKDOWN),
        ("text/plain", "a.md", rules.MARKDOWN),
        ("text/plain; charset=ascii", "a.log", rules.PLAIN),
        ("application/x-www-form-urlencoded", "a.htm", rules.HTML),
        ("application/x-pdf", "a", rules.PDF),
        ("text/html", "a.md", rules.HTML),
        ("", "a", None),
        ("", ".pdf", None),
        ("application/zip", "a.md", None),
        ("application/octet-stream", "a.docx", None),
    ],
)
def test_the_format_is_decided_by_the_type_or_else_by_the_extension(
    content_type: str, file_name: str, expected: str | None
) -> None:
    assert rules.file_format(content_type, file_name) == expected
