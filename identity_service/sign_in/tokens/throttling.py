"""Counts attempts, so that nobody guesses."""

from chassis.database import Executor
from identity_service.errors import SignInThrottled
from identity_service.sign_in.tokens import store


async def count_attempt(executor: Executor, counter: bytes) -> None:
    """Counts an attempt before what it brings is looked at. Raises SignInThrottled where it has to wait."""
    if not await store.count_attempt(executor, counter):
        raise SignInThrottled(await store.wait(executor, counter))
