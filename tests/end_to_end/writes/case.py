"""What a case is, and how a module collects its own."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.installation import Installation
from tests.people import Person

Write = tuple[Callable[..., Any], Any, Person]
Case = Callable[[Installation], Awaitable[tuple[Write, Callable[[], Awaitable[int]] | None]]]
"""Makes ready one write, and what counts its effects: one more after it than before."""


class Cases(dict[str, Case]):
    """Cases by their RPC, each added by a decorator: `@CASES.of("CreateClass")`."""

    def of(self, rpc: str) -> Callable[[Case], Case]:
        """Adds the function as the case of this RPC."""

        def add(prepare: Case) -> Case:
            self[rpc] = prepare
            return prepare

        return add
