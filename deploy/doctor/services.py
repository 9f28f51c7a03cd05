"""Checks of the running services and the gateway."""

import asyncio
import email.utils
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from deploy.doctor.findings import Finding, check, check_clock, problem, skipped
from deploy.stack import readiness
from deploy.stack.stack import Stack
from deploy.stack.state import State

_TIMEOUT_SECONDS = 3.0
_OPS_PORT = 1


def run_checks(stack: Stack, state: State, token_issued_at: float) -> Iterator[Finding]:
    """Yields the findings about the services and the gateway."""
    for name, ports in stack.ports.services.items():
        serves = asyncio.run(readiness.service_serves(ports[_OPS_PORT]))
        detail = f"serves on port {ports[0]}" if serves else "does not serve"
        yield check(name, detail, f"see `meno logs {name}`", passed=serves)
    serves = asyncio.run(readiness.gateway_serves(stack.ports))
    detail = (
        "has the keys and a healthy worker of every service"
        if serves
        else "lacks the keys, or a healthy worker of a service"
    )
    yield check("gateway", detail, "see `meno logs gateway`", passed=serves)
    yield _check_clocks(state, token_issued_at)


def _check_clocks(state: State, token_issued_at: float) -> Finding:
    """Checks the local clock against the clock of the gateway and the issue time of the stored token."""
    try:
        with urllib.request.urlopen(
            f"http://localhost:{state.port}/.well-known/jwks.json", timeout=_TIMEOUT_SECONDS
        ) as reply:
            gateway_time = email.utils.parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (urllib.error.URLError, OSError, TypeError, ValueError) as error:
        return problem("tokens", f"cannot fetch the keys: {error}", "see `meno logs gateway`")
    difference = abs(time.time() - gateway_time)
    ahead = token_issued_at - time.time()
    detail = f"the clock of the gateway differs by {difference:.0f} s"
    if ahead > 0:
        detail += f", and the stored token was issued {ahead:.0f} s in the future"
    return check_clock("tokens", detail, max(difference - 1, ahead))


def skip_checks() -> Iterator[Finding]:
    """Yields the findings of the checks that need a running stack."""
    yield skipped("services", "the stack is not running; start it with `meno up`")
