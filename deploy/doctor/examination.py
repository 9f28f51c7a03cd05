"""The whole examination."""

from collections.abc import Iterator

from deploy.doctor import machine, records, services
from deploy.doctor.findings import Finding, wrong
from deploy.stack.layout import Layout
from deploy.stack.postgres import Postgres
from deploy.stack.stack import Stack
from deploy.stack.state import is_running, load


def examine(layout: Layout, token_issued_at: float) -> Iterator[Finding]:
    """Yields what is found, one after the other."""
    state = load(layout) if is_running(layout) else None
    yield from machine.examine(layout, state)
    if state is None:
        yield from services.away()
        yield from records.away()
        return
    if not state.ready:
        yield wrong(
            "stack", f"is not ready: {state.step}", "wait a little; `meno logs supervisor` tells more"
        )
    stack = Stack.running(layout, state)
    yield from services.examine(stack, state, token_issued_at)
    yield from records.examine(stack, Postgres(layout.directory))
