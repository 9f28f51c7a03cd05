"""The first calls of the README do what it says, on a stack that was never called before."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from deploy.stack.layout import ROOT, Layout


def test_the_python_client_moves_a_session_on(layout: Layout) -> None:
    [program] = _blocks("python", layout)
    assert _run([sys.executable, "-c", program]) == "SESSION_PHASE_PLANNING\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_curl_begins_a_session(layout: Layout) -> None:
    calls = _blocks("sh", layout)[0]
    session = json.loads(_run(["sh", "-euc", calls]))
    assert (session["goal"]["text"], session["phase"]) == ("Understand the tides", "SESSION_PHASE_INTAKE")


def test_grpcurl_is_told_of_a_method_that_there_is(layout: Layout) -> None:
    """What grpcurl sends, sent by buf, which is installed with the tools of development."""
    call = _blocks("sh", layout)[1]
    found = re.search(r"-protoset (\S+).* -d '(.+)' \\\s+(\S+) (\S+)", call, re.DOTALL)
    assert found is not None
    protoset, message, address, method = found.groups()
    buf = [shutil.which("buf", path=f"{sys.prefix}/bin") or "buf", "curl", "--protocol", "grpc"]
    arguments = ["--http2-prior-knowledge", "--schema", protoset, "-d", message]
    done = subprocess.run(
        [*buf, *arguments, f"http://{address}/{method}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stderr)["code"] == "unauthenticated"


def _blocks(language: str, layout: Layout) -> list[str]:
    """The README's blocks of code, which call the stack of this test."""
    text = (ROOT / "README.md").read_text().replace("localhost:8080", f"localhost:{layout.port}")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
