"""Checks that no private name comes back: `python -m deploy.check.identifiers`.

The lists contain the metaphors and the participles that were replaced by the standard terms of the field.
Only definitions are checked: classes, functions, parameters and assigned names.
"""

import ast
import sys
from collections.abc import Iterator

from deploy.check.texts import tracked
from deploy.stack.layout import ROOT

_METAPHORS = (
    "Bell Rung Mint Heir Seat Desk Letter House Newcomer Sparing Spelling Holder Wish Arrival Refused Refusal "
    "Unable Disappointed bell rung strike struck heir mint house"
)
_EVERYDAY_WORDS = "Place Places Authority Fact Ways World School"
_CONSTANTS_WITHOUT_UNIT = "SLOW LOOK_EVERY KEPT_FOR EVERY _PAUSE _SILENCE _SOON _PATIENCE"
_PARTICIPLES = (
    "listed held told locked shown named present bury arrive judge seal intrude outstay respell refuse_nul "
    "names_person newcomers_role newcomers_name normal_join_code may_stand seen_by_teachers need_draft"
)

BANNED = frozenset(f"{_METAPHORS} {_EVERYDAY_WORDS} {_CONSTANTS_WITHOUT_UNIT}".split())
"""Names of classes, functions, parameters and variables that must not be defined."""
BANNED_FUNCTIONS = frozenset(_PARTICIPLES.split())
"""Names of functions that must not be defined: functions are verbs."""


def banned_definitions(source: str) -> Iterator[tuple[int, str]]:
    """Yields the line and the name of each banned definition in a Python source."""
    for node in ast.walk(ast.parse(source)):
        for name in _defined(node):
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if name in BANNED or (is_function and name in BANNED_FUNCTIONS):
                yield getattr(node, "lineno", 0), name


def _defined(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
            yield name


def main() -> int:
    """Prints the banned definitions; returns the exit status."""
    found = [
        f"{path}:{line}: {name} is a banned name; see docs/glossary.md for the standard terms"
        for path, file in tracked(ROOT, ".py")
        for line, name in banned_definitions(file.read_text())
    ]
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
