"""Passwords, hashed with argon2id in a bounded pool so that the event loop stays free."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from chassis.errors import ServiceUnavailable
from identity_service.errors import PasswordCommon
from identity_service.passwords import rules

# OWASP's minimum for argon2id; about 23 ms a verification.
_MEMORY_KIB = 19456
_PASSES = 2
_LANES = 1
_MAX_WAITING = 200

Result = TypeVar("Result")


class Passwords:
    """Hashes and verifies, a few at a time."""

    def __init__(self, threads: int) -> None:
        self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobodys_hash = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The hash of a password. Raises ServiceUnavailable when too many wait."""
        return await self._run(self._hasher.hash, password)

    async def check(self, password: str, *known: str) -> None:
        """Passes a password that may be set; `known` is what is known of its owner.

        Raises PasswordCommon.
        """
        if rules.is_common(password, *known):
            raise PasswordCommon("COMMON", "little more than what attackers try first")

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether a password is the stored one. With nothing stored it takes as long, and is not."""
        matches = await self._run(self._matches, password, stored or self._nobodys_hash)
        return matches and stored is not None

    def close(self) -> None:
        """Ends the pool."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except VerificationError:
            return False

    async def _run(self, work: Callable[..., Result], *arguments: str) -> Result:
        if self._waiting >= _MAX_WAITING:
            raise ServiceUnavailable()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self._waiting -= 1
