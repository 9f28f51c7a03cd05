"""The whole examination."""

from collections.abc import Iterator

from deploy.local.doctor import machine, records, services
from deploy.local.doctor.findings import Finding, wrong
from deploy.local.layout import Layout
from deploy.local.postgres import Postgres
from deploy.local.stack import Stack
from deploy.local.state import is_running, load


def examine(layout: Layout) -> Iterator[Finding]:
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
    yield from services.examine(stack, state)
    yield from records.examine(stack, Postgres(layout.directory))
