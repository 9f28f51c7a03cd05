"""Compiles the contracts when the package is built or installed for development."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileContracts(BuildHookInterface):  # type: ignore[type-arg]
    """Runs `compile.py` before hatchling collects the files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, self.root)
        from compile import compile_contracts

        compile_contracts(Path(self.root) / "generated")
