"""Creates an environment with the wheels of one service or of the CLI, and only their declared dependencies."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from deploy.stack.layout import ROOT, SERVICES

DISTRIBUTIONS = {name: f"meno_{name}" for name in ("protos", "chassis", *SERVICES)} | {"deploy": "meno_cli"}
"""The name of each distribution, by the directory of its sources."""

_NOT_SOURCES = shutil.ignore_patterns("__pycache__", "generated")


def build(directory: Path) -> Path:
    """Builds every wheel and returns their directory.

    It builds from a copy of the sources, because the build compiles the contracts again.
    """
    wheels = directory / "wheels"
    for name in DISTRIBUTIONS:
        source = directory / "sources" / name
        shutil.copytree(ROOT / name, source, ignore=_NOT_SOURCES)
        _python("-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels), directory=source)
    return wheels


def install(source: str, wheels: Path, directory: Path) -> None:
    """Makes the wheels of a distribution and their dependencies importable in a directory.

    The dependencies are those of this environment. Each wheel is installed only once, and linked.
    """
    own = dict(_install_wheel(DISTRIBUTIONS[name], wheels) for name in ("protos", "chassis", source))
    directory.mkdir(exist_ok=True)
    for needed in (*own.values(), *_dependencies(own, DISTRIBUTIONS[source])):
        _link(needed, directory)


def _install_wheel(name: str, wheels: Path) -> tuple[NormalizedName, Distribution]:
    """Unpacks a wheel into a directory of its own, unless that exists. Returns its name and distribution."""
    target = wheels.with_name("installed") / name
    if not target.exists():
        with ZipFile(next(wheels.glob(f"{name}-*.whl"))) as wheel:
            # Only the files of this directory would need pip, which takes much longer.
            assert not any(".data/" in file for file in wheel.namelist())
            wheel.extractall(target)
    [installed] = distributions(path=[str(target)])
    return canonicalize_name(installed.name), installed


def _dependencies(own: Mapping[NormalizedName, Distribution], name: str) -> Iterator[Distribution]:
    """Yields every direct and indirect third-party dependency once."""
    waiting, seen = [(canonicalize_name(name), "")], set[tuple[NormalizedName, str]]()
    while waiting:
        wanted, extra = waiting.pop()
        if (wanted, extra) in seen:
            continue
        seen.add((wanted, extra))
        try:
            found = own.get(wanted) or distribution(wanted)
        except PackageNotFoundError:
            # The lock omits it. If the service needed it, its start would fail.
            continue
        if wanted not in own:
            yield found
        for requirement in map(Requirement, found.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                needed = canonicalize_name(requirement.name)
                waiting += [(needed, chosen) for chosen in ("", *requirement.extras)]


def _link(needed: Distribution, directory: Path) -> None:
    """Links the files of a distribution into a directory, so that they can be imported from there."""
    for top in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
        link = directory / top
        if not link.exists():
            link.symlink_to(Path(str(needed.locate_file(top))))


def _python(*arguments: str, directory: Path = ROOT) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
