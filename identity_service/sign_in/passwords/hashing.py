"""Passwords: checked before they are set, hashed with argon2id in a bounded pool, so that the event loop stays free."""

import asyncio
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from chassis.errors import ServiceUnavailable
from identity_service.errors import PasswordBreached, PasswordCommon
from identity_service.settings import Settings
from identity_service.sign_in.passwords import rules
from identity_service.sign_in.passwords.blocklist import Blocklist
from identity_service.sign_in.passwords.breaches import Breaches
from identity_service.sign_in.passwords.rules import Weakness
from identity_service.sign_in.tokens import rules as token_rules

# OWASP's minimum for argon2id; about 23 ms a verification.
_MEMORY_KIB = 19456
_PASSES = 2
_LANES = 1
_MAX_WAITING = 200

Result = TypeVar("Result")


class Passwords:
    """Hashes, verifies and checks, a few at a time; says under what attempts are counted."""

    def __init__(
        self, threads: int, secret: bytes, *, blocklist: Path | None = None, breaches: str | None = None
    ) -> None:
        """`blocklist` is a file of passwords that nobody may set, `breaches` where to ask for stolen ones."""
        self._key = hmac.digest(secret, b"passwords", "sha256")
        self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._waiting = 0
        self._blocklist = Blocklist(blocklist)
        self._breaches = Breaches(breaches) if breaches else None
        self._nobodys_hash = self._hasher.hash("nobody has this password")

    @classmethod
    def of(cls, settings: Settings) -> "Passwords":
        """As an operator has set it."""
        return cls(
            settings.password_threads,
            settings.secret.get_secret_value().encode(),
            blocklist=settings.password_blocklist,
            breaches=settings.breached_passwords_url,
        )

    def counter(self, name: str) -> bytes:
        """What the attempts at a password are counted under, by the name or the person it would be of."""
        return token_rules.counter(self._key, name)

    async def hash(self, password: str) -> str:
        """The hash of a password. Raises ServiceUnavailable when too many wait."""
        return await self._run(self._hasher.hash, password)

    async def check(self, password: str, *known: str) -> None:
        """Passes a password that may be set; `known` is what is known of its owner.

        Raises PasswordCommon, PasswordBreached.
        """
        weakness = await self._run(self._weakness, password, *known)
        if weakness is not None:
            raise PasswordCommon(weakness.rule, weakness.why)
        if self._breaches is not None and await self._breaches.has(password):
            raise PasswordBreached()

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether a password is the stored one. With nothing stored it takes as long, and is not."""
        matches = await self._run(self._matches, password, stored or self._nobodys_hash)
        return matches and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(stored)

    async def read_blocklist(self) -> None:
        """Reads the blocklist now, which takes seconds where it is long, so that nobody has to wait for it."""
        await self._run(self._blocklist.read)

    async def close(self) -> None:
        """Ends the pool, and closes what is open."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._breaches is not None:
            await self._breaches.close()

    def _weakness(self, password: str, *known: str) -> Weakness | None:
        return rules.weakness(password, *known) or (rules.COMMON if password in self._blocklist else None)

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
