"""An environment for one service, or for the command line: its wheels, what they declare to need, and nothing else."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from deploy.stack.layout import ROOT, SERVICES

DISTRIBUTIONS = {name: f"meno_{name}" for name in ("protos", "chassis", *SERVICES)} | {"deploy": "meno_cli"}
"""Where the sources of each lie, and what it is called."""

_NOT_SOURCES = shutil.ignore_patterns("__pycache__", "generated")


def build(directory: Path) -> Path:
    """Builds every wheel, from a copy of the sources, for building compiles the contracts anew."""
    wheels = directory / "wheels"
    for name in DISTRIBUTIONS:
        source = directory / "sources" / name
        shutil.copytree(ROOT / name, source, ignore=_NOT_SOURCES)
        _python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(source))
    return wheels


def install(source: str, wheels: Path, directory: Path) -> None:
    """Installs the wheels of a distribution, and links what they need from the packages of this environment."""
    names = [DISTRIBUTIONS[name] for name in ("protos", "chassis", source)]
    ours = [str(next(wheels.glob(f"{name}-*.whl"))) for name in names]
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index")
    _python(*pip, "--target", str(directory), *ours)
    installed = {canonicalize_name(found.name): found for found in distributions(path=[str(directory)])}
    for needed in _needs(installed, DISTRIBUTIONS[source]):
        _link(needed, directory)


def _needs(ours: Mapping[NormalizedName, Distribution], name: str) -> Iterator[Distribution]:
    """Every distribution of others that ours need, directly or not, each once."""
    waiting, seen = [(canonicalize_name(name), "")], set[tuple[NormalizedName, str]]()
    while waiting:
        wanted, extra = waiting.pop()
        if (wanted, extra) in seen:
            continue
        seen.add((wanted, extra))
        try:
            found = ours.get(wanted) or distribution(wanted)
        except PackageNotFoundError:
            continue  # left out of the lock: what starts without it does not need it
        if wanted not in ours:
            yield found
        for requirement in map(Requirement, found.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                needed = canonicalize_name(requirement.name)
                waiting += [(needed, chosen) for chosen in ("", *requirement.extras)]


def _link(needed: Distribution, directory: Path) -> None:
    """Makes a distribution importable in a directory."""
    for top in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
        link = directory / top
        if not link.exists():
            link.symlink_to(Path(str(needed.locate_file(top))))


def _python(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
