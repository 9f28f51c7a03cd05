"""Every statement that the services compile at import, by name."""

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

OF_EVERY_SERVICE = (notifications, idempotency, outbox)
"""What the chassis asks each service's database."""
OF_FOLLOWERS = (feed_consumer,)
"""What it asks those of all services but the one whose feed they follow."""

_NOT_THE_SERVICE = {"tests", "migrations"}
_COMPILES = "statement"


@dataclass(frozen=True)
class Named:
    """A statement and where it stands."""

    service: str
    name: str
    """`session_service.sessions.store.GET`."""
    statement: Statement[Any]


def of_service(service: str) -> Iterator[Named]:
    """Yields every statement of a service, its own before the chassis's."""
    followed = OF_FOLLOWERS if service != "identity_service" else ()
    for module in [*map(import_module, compiling(service)), *OF_EVERY_SERVICE, *followed]:
        for name, value in _statements(module).items():
            yield Named(service, f"{module.__name__}.{name}", value)
    rules = import_module(f"{service}.data_rights")
    for name, value in rules.RULES.statements():
        yield Named(service, f"{rules.__name__}.{name}", value)


def hidden(service: str) -> list[str]:
    """The modules that compile statements which are not their attributes, and so are not listed."""
    return [
        module.__name__
        for module in map(import_module, compiling(service))
        if _compiled_in(Path(module.__file__ or "")) != len(_statements(module))
    ]


def compiling(package: str) -> list[str]:
    """The modules of a package that compile statements."""
    root = Path(str(files(package)))
    return [
        ".".join([package, *parts])
        for path in sorted(root.rglob("*.py"))
        if not _NOT_THE_SERVICE & {*(parts := path.relative_to(root).with_suffix("").parts)}
        and _compiled_in(path)
    ]


def _statements(module: ModuleType) -> dict[str, Statement[Any]]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Statement)}


def _compiled_in(path: Path) -> int:
    """How many statements a file compiles."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return sum(isinstance(node, ast.Call) and ast.unparse(node.func) == _COMPILES for node in nodes)
