"""A service with a wrong environment prints one line and exits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.stack.layout import ROOT

UNREACHABLE_DATABASE = "postgresql://nobody:nothing@127.0.0.1:1/nothing"


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("migrate", 1, "cannot use the database"),
        ("serve", 1, "ca.pem: No such file or directory"),
    ],
)
def test_a_missing_resource_is_named(tmp_path: Path, command: str, status: int, message: str) -> None:
    settings = {
        "MENO_DATABASE_URL": UNREACHABLE_DATABASE,
        "MENO_TLS_DIRECTORY": str(tmp_path),
        "MENO_SECRET": "x" * 32,
    }
    done = _run(command, settings)
    [line] = done.stderr.strip().splitlines()
    assert (done.returncode, message in line, "nothing@" in line) == (status, True, False)


def test_every_missing_setting_is_named() -> None:
    done = _run("serve", {"MENO_PORTS": "none"})
    assert done.returncode == 2
    for name in ("MENO_DATABASE_URL", "MENO_TLS_DIRECTORY", "MENO_SECRET", "MENO_PORTS"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


def _run(command: str, settings: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MENO_")}
    return subprocess.run(
        [sys.executable, "-m", "session_service", command],
        env={**kept, **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
