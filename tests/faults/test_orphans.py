"""The process that ends the stack's programs when their supervisor is killed."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from deploy.stack import orphans
from deploy.stack.layout import ROOT
from deploy.stack.orphans import Reaper
from tests import local_stack

GONE_WITHIN = 15


async def test_a_reaper_that_cannot_be_replaced_at_once_is_replaced_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    reaper = Reaper()
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
    async with asyncio.timeout(GONE_WITHIN):
        assert await program.wait() == -signal.SIGKILL
