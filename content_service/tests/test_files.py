"""Files in a directory: what arrives whole is kept, and nothing of the rest."""

import asyncio
import hashlib
import io
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_service.errors import FileEmpty, FileTooLarge
from content_service.materials import rules
from content_service.materials.files import Files

SCOPE = str(uuid.uuid4())
# More than one part, so that some of it is on disk before all of it is.
PART = b"x" * (6 * 2**20)
MOST = 4 * len(PART)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def files(directory: Path) -> Files:
    return Files(f"file://{directory}", MOST)


def kept(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


async def emptied(directory: Path) -> None:
    """Returns when nothing is left; what was begun is removed by a thread of the store's own."""
    async with asyncio.timeout(10):
        while kept(directory):
            await asyncio.to_thread(time.sleep, 0.001)


async def never(key: str) -> bool:
    return False


async def arriving(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_file_comes_back_as_it_arrived(files: Files, directory: Path) -> None:
    async with files.incoming(SCOPE, arriving(b"one ", b"", b"two"), never) as stored:
        assert (stored.size, stored.sha256) == (7, hashlib.sha256(b"one two").digest())
    copy = io.BytesIO()
    await files.copy_to(stored.key, copy)
    assert copy.getvalue() == b"one two"
    [path] = kept(directory)
    assert str(path.relative_to(directory)) == stored.key
    assert path.parent.name == SCOPE


async def test_a_file_of_many_parts_comes_back_as_it_arrived(files: Files, directory: Path) -> None:
    async with files.incoming(SCOPE, arriving(PART, b"y", PART), never) as stored:
        assert stored.size == 2 * len(PART) + 1
    [path] = kept(directory)
    assert path.read_bytes() == PART + b"y" + PART


@pytest.mark.parametrize(
    ("pieces", "error"),
    [((), FileEmpty), ((b"", b""), FileEmpty), ((PART, PART, PART, PART, b"x"), FileTooLarge)],
)
async def test_a_file_out_of_bounds_is_not_kept(
    files: Files, directory: Path, pieces: tuple[bytes, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        async with files.incoming(SCOPE, arriving(*pieces), never):
            pytest.fail("it was taken")
    await emptied(directory)


async def test_an_upload_that_fails_midway_leaves_nothing(files: Files, directory: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield PART
        yield PART
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with files.incoming(SCOPE, broken(), never):
            pytest.fail("it was taken")
    await emptied(directory)


async def test_an_upload_that_is_cancelled_midway_leaves_nothing(files: Files, directory: Path) -> None:
    arrived = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield PART
        yield PART
        arrived.set()
        await asyncio.Event().wait()

    async def upload() -> None:
        async with files.incoming(SCOPE, stuck(), never):
            pytest.fail("it was taken")

    uploading = asyncio.create_task(upload())
    await arrived.wait()
    assert kept(directory)
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    await emptied(directory)


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_file_whose_row_failed_is_deleted_unless_the_row_is_there(
    files: Files, directory: Path, is_kept: bool
) -> None:
    async def answer(key: str) -> bool:
        return is_kept

    with pytest.raises(RuntimeError):
        async with files.incoming(SCOPE, arriving(b"x"), answer):
            raise RuntimeError("the commit's answer was lost")
    assert len(kept(directory)) == is_kept


async def test_a_file_is_left_where_nobody_knows_whether_it_is_needed(files: Files, directory: Path) -> None:
    async def unknown(key: str) -> bool:
        raise ConnectionRefusedError

    with pytest.raises(RuntimeError):
        async with files.incoming(SCOPE, arriving(b"x"), unknown):
            raise RuntimeError("the database is away")
    assert len(kept(directory)) == 1


async def test_a_file_that_is_gone_is_told(files: Files) -> None:
    with pytest.raises(FileNotFoundError):
        await files.copy_to(f"{SCOPE}/{uuid.uuid4()}", io.BytesIO())


@given(st.text(max_size=200))
def test_a_name_leads_nowhere_and_shows_all_of_itself(file_name: str) -> None:
    name = rules.bare_name(file_name)
    assert "/" not in name
    assert "\\" not in name
    assert name.isprintable()
    assert name == name.strip()
    assert rules.bare_name(name) == name


@given(given_title=st.text(max_size=200), name=st.text(min_size=1, max_size=200))
def test_every_material_has_a_title(given_title: str, name: str) -> None:
    name = rules.bare_name(name) or "notes.md"
    title = rules.title(given_title, name)
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
def test_the_type_decides_and_the_ending_where_the_type_says_nothing(
    content_type: str, file_name: str, expected: str | None
) -> None:
    assert rules.file_format(content_type, file_name) == expected
