"""The running services, and the gateway in front of them."""

import asyncio
import email.utils
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from chassis.tokens import CLOCK_SKEW
from deploy.doctor.findings import Finding, judged, not_now, wrong
from deploy.stack import readiness
from deploy.stack.stack import Stack
from deploy.stack.state import State

_PATIENCE = 3.0
_OPS = 1


def examine(stack: Stack, state: State, token_issued_at: float) -> Iterator[Finding]:
    """Everything that serves."""
    for name, ports in stack.ports.services.items():
        serves = asyncio.run(readiness.service_serves(ports[_OPS]))
        detail = f"serves on port {ports[0]}" if serves else "does not serve"
        yield judged(name, detail, f"`meno logs {name}` tells why", passed=serves)
    has_keys = asyncio.run(readiness.gateway_serves(stack.ports))
    detail = "has the keys, and a worker of every service" if has_keys else "lacks the keys, or a service"
    yield judged("gateway", detail, "`meno logs gateway` tells why", passed=has_keys)
    yield _clocks(state, token_issued_at)


def _clocks(state: State, token_issued_at: float) -> Finding:
    """Whether the gateway's clock, and the tokens', agree with this one."""
    try:
        with urllib.request.urlopen(
            f"http://localhost:{state.port}/.well-known/jwks.json", timeout=_PATIENCE
        ) as reply:
            there = email.utils.parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (urllib.error.URLError, OSError, TypeError, ValueError) as error:
        return wrong("tokens", f"the keys cannot be fetched: {error}", "`meno logs gateway` tells why")
    apart = abs(time.time() - there)
    ahead = token_issued_at - time.time()
    hint = "set the clock of this machine: tokens are judged by it"
    detail = f"the gateway's clock is {apart:.0f} s away"
    if ahead > 0:
        detail += f", a token was issued {ahead:.0f} s from now"
    return judged("tokens", detail, hint, passed=max(apart - 1, ahead) < CLOCK_SKEW.total_seconds())


def away() -> Iterator[Finding]:
    """What is not examined while the stack is down."""
    yield not_now("services", "the stack is down: `meno up`")
