"""Checks and hashes passwords. Hashing (argon2id) runs in a bounded thread pool, off the event loop."""

import asyncio
import hmac
from collections import Counter as Counts
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
from identity_service.sign_in.passwords.breaches import BreachList
from identity_service.sign_in.passwords.types import Weakness
from identity_service.sign_in.throttle import commands as throttle
from identity_service.sign_in.throttle import rules as throttle_rules
from identity_service.sign_in.throttle.networks import NetworkLimit
from identity_service.sign_in.throttle.rules import Counter

# The minimum of OWASP for argon2id: about 23 ms per verification on one core.
_MEMORY_KIB = 19456
_TIME_COST = 2
_PARALLELISM = 1
_MAX_QUEUED = 200
_MAX_QUEUED_OF_NETWORK = 50
"""Keeps three quarters of the queue free for other networks. With two threads, it is half a second of work."""
_MAX_FAILURES_OF_NETWORK = 300
"""Failed passwords of a network in an hour. A school of a thousand people can share one address."""

Result = TypeVar("Result")


class Passwords:
    """Checks, hashes and verifies passwords in a thread pool."""

    def __init__(
        self, threads: int, secret: bytes, *, blocklist: Path | None = None, breaches: str | None = None
    ) -> None:
        """`blocklist` is a file of forbidden passwords; `breaches` is the URL of the range API."""
        self._key = hmac.digest(secret, b"passwords", "sha256")
        self._hasher = PasswordHasher(time_cost=_TIME_COST, memory_cost=_MEMORY_KIB, parallelism=_PARALLELISM)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._queued: Counts[str] = Counts()
        self.networks = NetworkLimit(_MAX_FAILURES_OF_NETWORK)
        self._blocklist = Blocklist(blocklist)
        self._breaches = BreachList(breaches) if breaches else None
        self._dummy_hash = self._hasher.hash("nobody has this password")

    @classmethod
    def from_settings(cls, settings: Settings) -> "Passwords":
        """Returns an instance with the settings of the operator."""
        return cls(
            settings.password_threads,
            settings.secret.get_secret_value().encode(),
            blocklist=settings.password_blocklist,
            breaches=settings.breached_passwords_url,
        )

    def counter(self, name: str) -> Counter:
        """Returns the counter of the password attempts of this network, by login identifier or user id."""
        return throttle_rules.counter(self._key, name, throttle.current_network())

    def device_counter(self, user_id: str, sign_in_id: str) -> Counter:
        """Returns the counter of the password attempts of a device on which the user has signed in before."""
        return throttle_rules.counter(self._key, f"{user_id} {sign_in_id}", network="")

    async def hash(self, password: str) -> str:
        """Returns the hash of the canonical form. Raises ServiceUnavailable if the queue is full."""
        return await self._run(self._hasher.hash, rules.canonicalize(password))

    async def check(self, password: str, *known: str, field: str = "password") -> None:
        """Checks that a password may be set; `known` contains names and addresses of its user.

        `field` is its field in the request. Raises FieldInvalid, PasswordCommon, PasswordBreached, or
        ServiceUnavailable if the queue is full.
        """
        rules.check_length(field, password)
        password = rules.canonicalize(password)
        weakness = await self._run(self._find_weakness, password, *known)
        if weakness is not None:
            raise PasswordCommon(weakness.rule, weakness.reason)
        if self._breaches is not None and await self._breaches.contains(password):
            raise PasswordBreached()

    async def verify(self, password: str, stored: str | None) -> bool:
        """Returns whether a password matches the stored hash. Raises ServiceUnavailable if the queue is full.

        Without a stored hash it takes the same time, so that the time does not reveal whether an account
        exists.
        """
        matches = await self._run(self._matches, password, stored or self._dummy_hash)
        return matches and stored is not None

    async def is_outdated(self, password: str, stored: str) -> bool:
        """Returns whether the hash of a password has other parameters than the current ones, or another form."""
        if self._hasher.check_needs_rehash(stored):
            return True
        canonical = rules.canonicalize(password)
        return canonical != password and not await self._run(self._is_hash_of, canonical, stored)

    async def load_blocklist(self) -> None:
        """Loads the blocklist in advance, because a long list takes seconds."""
        await self._run(self._blocklist.load)

    async def close(self) -> None:
        """Stops the threads and closes the connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._breaches is not None:
            await self._breaches.close()

    def _find_weakness(self, password: str, *known: str) -> Weakness | None:
        return rules.find_weakness(password, *known) or (
            rules.COMMON if password in self._blocklist else None
        )

    def _matches(self, password: str, stored: str) -> bool:
        canonical = rules.canonicalize(password)
        if self._is_hash_of(canonical, stored):
            return True
        # Hashes were formerly created from the text as it was sent.
        return canonical != password and self._is_hash_of(password, stored)

    def _is_hash_of(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except VerificationError:
            return False

    async def _run(self, work: Callable[..., Result], *arguments: str) -> Result:
        network = throttle.current_network()
        if self._queued.total() >= _MAX_QUEUED or self._queued[network] >= _MAX_QUEUED_OF_NETWORK:
            raise ServiceUnavailable()
        self._queued[network] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self._queued[network] -= 1
            if not self._queued[network]:
                del self._queued[network]
