"""Lists the statements that the services compile at import, with their names."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from chassis import feed_consumer, idempotency, notifications, outbox
from chassis.database import Statement

MODULES_OF_EVERY_SERVICE = (notifications, idempotency, outbox)
"""The modules of the chassis whose statements every service executes."""
MODULES_OF_FEED_CONSUMERS = (feed_consumer,)
"""The modules of the chassis whose statements all services except identity_service execute."""

_EXCLUDED_DIRECTORIES = {"tests", "migrations"}
_COMPILE_FUNCTION = "statement"


@dataclass(frozen=True)
class NamedStatement:
    """A statement and its qualified name."""

    service: str
    name: str
    """`session_service.sessions.store.GET`."""
    statement: Statement[Any]


def list_statements(service: str) -> Iterator[NamedStatement]:
    """Yields every statement of a service: first its own, then those of the chassis, then its data rules."""
    consumed = MODULES_OF_FEED_CONSUMERS if service != "identity_service" else ()
    own = map(import_module, list_modules(service))
    for module in [*own, *MODULES_OF_EVERY_SERVICE, *consumed]:
        for name, value in _statements(module).items():
            yield NamedStatement(service, f"{module.__name__}.{name}", value)
    rules = import_module(f"{service}.data_rights")
    for name, value in rules.RULES.statements():
        yield NamedStatement(service, f"{rules.__name__}.{name}", value)


def modules_with_unlisted_statements(service: str) -> list[str]:
    """Returns the modules that compile a statement and do not assign it to a module attribute."""
    return [
        module.__name__
        for module in map(import_module, list_modules(service))
        if _count_compiled(Path(module.__file__ or "")) != len(_statements(module))
    ]


def list_modules(package: str) -> list[str]:
    """Returns the modules of a package that compile statements."""
    root = Path(str(files(package)))
    return [
        ".".join([package, *parts])
        for path in sorted(root.rglob("*.py"))
        if not _EXCLUDED_DIRECTORIES & {*(parts := path.relative_to(root).with_suffix("").parts)}
        and _count_compiled(path)
    ]


def _statements(module: ModuleType) -> dict[str, Statement[Any]]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Statement)}


def _count_compiled(path: Path) -> int:
    """Returns how many statements a file compiles."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return sum(isinstance(node, ast.Call) and ast.unparse(node.func) == _COMPILE_FUNCTION for node in nodes)
