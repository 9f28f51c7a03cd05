"""The first calls of the README have the documented results on a new stack."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from deploy.stack.layout import ROOT, Layout


def test_the_python_client_advances_a_session(layout: Layout) -> None:
    [program] = _blocks("python", layout)
    assert _run([sys.executable, "-c", program]) == "SESSION_PHASE_PLANNING\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_creates_a_class_and_a_session(layout: Layout) -> None:
    calls = _blocks("sh", layout)[0]
    printed = _run(["sh", "-euc", calls])
    created, end = json.JSONDecoder().raw_decode(printed)
    session = json.loads(printed[end:])
    assert (created["title"], created["myRole"]) == ("Physics of the sea", "CLASS_ROLE_TEACHER")
    assert (session["goal"]["text"], session["phase"]) == ("Understand the tides", "SESSION_PHASE_INTAKE")


def test_the_grpcurl_call_names_an_existing_method(layout: Layout) -> None:
    """Sends the call with buf, which is a development dependency. grpcurl is not."""
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
    """Returns the code blocks of the README, changed to call the stack of this test."""
    text = (ROOT / "README.md").read_text().replace("localhost:8080", f"localhost:{layout.port}")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
