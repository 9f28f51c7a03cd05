"""Limits the rate of failed attempts to sign in."""

from chassis import calls
from chassis.database import Executor
from identity_service.errors import SignInRateLimited
from identity_service.sign_in.throttle import rules, store
from identity_service.sign_in.throttle.rules import Counter


def current_network() -> str:
    """Returns the network of the client of the current call; empty if it is unknown."""
    return rules.network_of(calls.client_address())


async def count_attempt(executor: Executor, counter: Counter) -> None:
    """Counts an attempt as a failure, before its proof is verified. Raises SignInRateLimited."""
    if not await store.count_attempt(executor, counter):
        raise SignInRateLimited(await store.get_delay(executor, counter))


async def reset_failures(executor: Executor, counter: Counter) -> None:
    """Resets the count of failures of a name, in all networks, after a successful attempt."""
    await store.reset_failures(executor, counter.identifier_hash)
