"""`python -m deploy.check`: every check that `make check` runs.

`python -m deploy.check release` makes the current contracts the ones that later contracts must not break.
"""

import subprocess
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from rich.console import Console

from deploy.gateway.contracts import descriptors
from deploy.stack.layout import ROOT, SERVICES

RELEASED = ROOT / "protos" / "released.binpb"
"""The contracts of the last release. Later contracts may extend them and must not break them."""

_SCRIPTS = Path(sys.executable).parent
_BUF = str(ROOT / "protos" / "buf.yaml")
_PACKAGES = ("chassis", *SERVICES, "deploy", "tests")


def checks() -> dict[str, list[str]]:
    """Returns the command of each check by its name."""
    contracts = str(descriptors())
    return {
        "style": ["ruff", "check", "."],
        "format": ["ruff", "format", "--check", "."],
        "types": ["mypy", *_PACKAGES],
        "layers": ["lint-imports", "--no-cache"],
        "contracts": ["buf", "lint", contracts, "--config", _BUF],
        "prose": ["python", "-m", "deploy.check.prose"],
        "names": ["python", "-m", "deploy.check.identifiers"],
        "pages": ["python", "-m", "deploy.check.pages"],
        "compatibility": ["buf", "breaking", contracts, "--against", str(RELEASED), "--config", _BUF],
    }


def release() -> None:
    """Stores the current contracts without their comments, which cannot break a client."""
    contracts = FileDescriptorSet.FromString(descriptors().read_bytes())
    for file in contracts.file:
        file.ClearField("source_code_info")
    RELEASED.write_bytes(contracts.SerializeToString(deterministic=True))


def main() -> int:
    """Runs every check, prints the output of those that fail, and returns the exit status."""
    console = Console(highlight=False)
    failed = False
    for name, command in checks().items():
        with console.status(name):
            done = subprocess.run(
                [str(_SCRIPTS / command[0]), *command[1:]],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            failed = True
            console.print(f"[red]✗[/] {name}")
            console.print(done.stdout + done.stderr, markup=False)
        else:
            console.print(f"[green]✓[/] {name}")
    return int(failed)


if __name__ == "__main__":
    if sys.argv[1:] == ["release"]:
        release()
    else:
        sys.exit(main())
