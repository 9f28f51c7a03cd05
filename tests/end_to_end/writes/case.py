"""The type of a case, and the registry of the cases of a module."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.installation import Installation
from tests.people import Person

Write = tuple[Callable[..., Any], Any, Person]
Case = Callable[[Installation], Awaitable[tuple[Write, Callable[[], Awaitable[int]] | None]]]
"""Prepares a write, and a function that counts its effects or None. The write increases the count by one."""


class Cases(dict[str, Case]):
    """The cases by RPC. A decorator adds a case: `@CASES.of("CreateClass")`."""

    def of(self, rpc: str) -> Callable[[Case], Case]:
        """Returns a decorator that adds a function as the case of this RPC."""

        def add(prepare: Case) -> Case:
            self[rpc] = prepare
            return prepare

        return add
