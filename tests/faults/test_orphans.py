"""The reaper process, which ends the programs of the stack when their supervisor is killed."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.stack import orphans
from deploy.stack.layout import ROOT
from deploy.stack.orphans import Reaper
from tests import local_stack
from tests.local_stack import GUARD_SECONDS


async def test_a_failed_restart_of_the_reaper_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = await asyncio.create_subprocess_exec("sleep", "infinity", start_new_session=True)
    reaper = Reaper()
    try:
        await reaper.start()
        reaper.register(program.pid, signal.SIGKILL)
        first = reaper.pid
        monkeypatch.setattr(orphans, "ROOT", tmp_path / "missing")
        os.kill(first, signal.SIGKILL)
        await local_stack.wait_until(lambda: "cannot restart the reaper" in caplog.text)
        monkeypatch.setattr(orphans, "ROOT", ROOT)
        await local_stack.wait_until(lambda: reaper.pid != first)
        # For the reaper this is the end of its supervisor.
        await reaper.stop()
        async with asyncio.timeout(GUARD_SECONDS):
            assert await program.wait() == -signal.SIGKILL
    finally:
        with suppress(ProcessLookupError):
            program.kill()
        await program.wait()
