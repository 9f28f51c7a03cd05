"""The processes that read files: they end with their task, and are replaced if they are killed."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chassis.testing import wait_until
from chassis.testing.expectations import EVENTUALLY_SECONDS
from content_service.materials.ingestion import extraction_process
from content_service.materials.ingestion.extraction_process import ExtractionProcess
from content_service.materials.ingestion.types import (
    ChunkedText,
    ChunkLimits,
    ExtractionLimits,
    TextLimits,
)
from content_service.materials.rules import PLAIN

SERVER = "content_service.materials.ingestion.extraction_server"


@pytest.fixture
def others() -> set[psutil.Process]:
    """The servers of services that other tests share."""
    return servers()


@pytest.fixture
def extraction(others: set[psutil.Process]) -> Iterator[ExtractionProcess]:
    limits = ExtractionLimits(TextLimits(max_characters=10_000, max_pages=10), 60, 2**31)
    process = ExtractionProcess(limits)
    yield process
    process.close()
    assert servers() == others


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text("Water boils at 100 °C.")
    return path


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file whose reader waits until a writer opens it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


async def extract(extraction: ExtractionProcess, path: Path) -> ChunkedText:
    async def on_extracted() -> None:
        pass

    source = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return await extraction.extract_chunks(source, PLAIN, "", ChunkLimits(220, 0), on_extracted)
    finally:
        os.close(source)


def servers() -> set[psutil.Process]:
    """Returns the servers of this process that run their program."""
    found = psutil.Process().children()
    return {process for process in found if SERVER in command_of(process)}


def command_of(process: psutil.Process) -> list[str]:
    """Returns the command line of a process; empty if it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


async def running_server(others: set[psutil.Process]) -> psutil.Process:
    """Returns the server of the test as soon as it runs its program."""
    await wait_until(lambda: servers() - others)
    [server] = servers() - others
    return server


async def start_endless(
    extraction: ExtractionProcess, endless: Path, others: set[psutil.Process]
) -> tuple[asyncio.Task[ChunkedText], psutil.Process, psutil.Process]:
    """Starts to read a file without end; returns the task, the server and the child that reads."""
    task = asyncio.create_task(extract(extraction, endless))
    server = await running_server(others)
    [child] = await children_of(server, 1)
    return task, server, child


async def children_of(server: psutil.Process, number: int) -> list[psutil.Process]:
    """Returns the children of a server as soon as there are this many."""
    await wait_until(lambda: len(server.children()) == number)
    return server.children()


async def test_several_files_are_read_at_once(
    extraction: ExtractionProcess, text: Path, endless: Path
) -> None:
    first = asyncio.create_task(extract(extraction, endless))
    assert [chunk.text for chunk in (await extract(extraction, text)).chunks] == ["Water boils at 100 °C."]
    await asyncio.to_thread(endless.write_text, "Ice melts at 0 °C.")
    assert [chunk.text for chunk in (await first).chunks] == ["Ice melts at 0 °C."]


async def test_a_task_that_is_cancelled_ends_its_process(
    extraction: ExtractionProcess, text: Path, endless: Path, others: set[psutil.Process]
) -> None:
    task, server, _ = await start_endless(extraction, endless, others)
    task.cancel()
    await children_of(server, 0)
    assert (await extract(extraction, text)).chunks
    assert servers() - others == {server}


async def test_a_file_whose_process_is_killed_fails_and_the_next_is_read(
    extraction: ExtractionProcess, text: Path, endless: Path, others: set[psutil.Process]
) -> None:
    task, _, child = await start_endless(extraction, endless, others)
    child.kill()
    with pytest.raises(RuntimeError, match="ended with status -9"):
        await task
    assert (await extract(extraction, text)).chunks


async def test_a_server_that_is_killed_is_replaced(
    extraction: ExtractionProcess, text: Path, endless: Path, others: set[psutil.Process]
) -> None:
    task, server, child = await start_endless(extraction, endless, others)
    server.kill()
    await asyncio.to_thread(endless.write_text, "Ice melts at 0 °C.")
    with pytest.raises(RuntimeError):
        await task
    await wait_until(lambda: not child.is_running())
    assert (await extract(extraction, text)).chunks
    assert server not in servers()


async def test_the_processes_end_when_the_service_closes(
    extraction: ExtractionProcess, endless: Path, others: set[psutil.Process]
) -> None:
    task, _, child = await start_endless(extraction, endless, others)
    extraction.close()
    with pytest.raises(RuntimeError):
        await task
    assert servers() == others
    await wait_until(lambda: not child.is_running())


async def test_processes_that_are_stopped_end_when_the_service_closes(
    extraction: ExtractionProcess, endless: Path, others: set[psutil.Process]
) -> None:
    task, server, child = await start_endless(extraction, endless, others)
    server.suspend()
    child.suspend()
    try:
        async with asyncio.timeout(EVENTUALLY_SECONDS):
            await asyncio.to_thread(extraction.close)
    finally:
        resume(server)
    with pytest.raises(RuntimeError):
        await task
    await wait_until(lambda: not child.is_running())


async def test_the_children_of_a_server_that_was_killed_end_when_the_service_closes(
    extraction: ExtractionProcess, endless: Path, others: set[psutil.Process]
) -> None:
    task, server, child = await start_endless(extraction, endless, others)
    server.kill()
    await wait_until(lambda: server.status() == psutil.STATUS_ZOMBIE)
    extraction.close()
    with pytest.raises(RuntimeError):
        await task
    await wait_until(lambda: not child.is_running())


async def test_a_server_that_is_stopped_is_replaced(
    extraction: ExtractionProcess, text: Path, monkeypatch: pytest.MonkeyPatch, others: set[psutil.Process]
) -> None:
    assert (await extract(extraction, text)).chunks
    [server] = servers() - others
    server.suspend()
    monkeypatch.setattr(extraction_process, "_MAX_WAIT_FACTOR", 0)
    try:
        with pytest.raises(RuntimeError, match="does not continue"):
            await extract(extraction, text)
        monkeypatch.undo()
        assert (await extract(extraction, text)).chunks
        assert server not in servers()
    finally:
        resume(server)


def resume(process: psutil.Process) -> None:
    """Continues a process that was stopped, if it has not ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.resume()


async def test_the_process_has_no_environment_of_the_service(
    extraction: ExtractionProcess, endless: Path, monkeypatch: pytest.MonkeyPatch, others: set[psutil.Process]
) -> None:
    monkeypatch.setenv("MENO_SECRET", "hidden")
    task, server, child = await start_endless(extraction, endless, others)
    assert set(server.environ()) == set(child.environ()) == {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    task.cancel()
