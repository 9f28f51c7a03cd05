"""Limits the rate of failed attempts to sign in."""

from chassis.database import Executor
from identity_service.errors import SignInRateLimited
from identity_service.sign_in.throttle import store


async def count_attempt(executor: Executor, counter_key: bytes) -> None:
    """Counts an attempt as a failure, before its proof is verified. Raises SignInRateLimited."""
    if not await store.count_attempt(executor, counter_key):
        raise SignInRateLimited(await store.get_delay(executor, counter_key))


async def reset_failures(executor: Executor, counter_key: bytes) -> None:
    """Resets the count of failures after a successful attempt."""
    await store.reset_failures(executor, counter_key)
