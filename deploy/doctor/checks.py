"""All checks of a stack."""

from collections.abc import Iterator

from deploy.doctor import machine, records, services
from deploy.doctor.findings import Finding, problem
from deploy.stack.layout import Layout
from deploy.stack.postgres import Postgres
from deploy.stack.stack import Stack
from deploy.stack.state import is_running, load


def run_checks(layout: Layout, token_issued_at: float) -> Iterator[Finding]:
    """Yields the finding of each check. `token_issued_at` is in seconds since the epoch; 0 without a token."""
    state = load(layout) if is_running(layout) else None
    yield from machine.run_checks(layout, state)
    if state is None:
        yield from services.skip_checks()
        yield from records.skip_checks()
        return
    if not state.ready:
        yield problem(
            "stack", f"not ready: {state.step}", "wait a moment; if it stays, see `meno logs supervisor`"
        )
    stack = Stack.running(layout, state)
    yield from services.run_checks(stack, state, token_issued_at)
    yield from records.run_checks(stack, Postgres(layout.directory))
