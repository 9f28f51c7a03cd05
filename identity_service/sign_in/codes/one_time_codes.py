"""Issues and redeems one-time codes."""

import hmac
import secrets
from datetime import datetime

from chassis.database import Executor, Transaction
from identity_service.errors import SignInRateLimited
from identity_service.sign_in.codes import rules, store
from identity_service.sign_in.throttle import commands as throttle
from identity_service.sign_in.throttle import rules as throttle_rules
from identity_service.sign_in.throttle.networks import NetworkLimit
from identity_service.sign_in.throttle.rules import Counter


class OneTimeCodes:
    """The codes of an installation. Addresses and codes are stored as hashes with a key from its secret."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"one-time codes", "sha256")
        self._networks = NetworkLimit(rules.MAX_FAILURES_OF_NETWORK)

    async def issue(self, executor: Executor, canonical: str) -> tuple[str, datetime]:
        """Returns a new code for an address and its expiry. The previous code becomes invalid.

        Raises SignInRateLimited after too many consecutive codes.
        """
        code = rules.format_code(secrets.randbelow(10**rules.DIGITS))
        address_hash = rules.address_hash(self._key, canonical)
        code_hash = rules.code_hash(self._key, canonical, code)
        network_hash = rules.address_hash(self._key, f"{canonical} {throttle.current_network()}")
        # The network first, so that one network does not use up the codes of the address.
        if await store.replace(executor, network_hash, None, rules.MAX_SENDS) is None:
            raise SignInRateLimited(await store.get_delay(executor, network_hash))
        expires_at = await store.replace(executor, address_hash, code_hash, rules.MAX_SENDS_TO_ADDRESS)
        if expires_at is None:
            raise SignInRateLimited(await store.get_delay(executor, address_hash))
        return code, expires_at

    async def redeem(self, transaction: Transaction, canonical: str, code: str) -> bool:
        """Returns whether the code is that of the address, and invalidates it.

        A wrong code is counted for the address, so that a new code does not allow more guesses. The code stays
        valid, because otherwise a stranger could invalidate it. The caller must commit the transaction also if the
        code is wrong. Raises SignInRateLimited.
        """
        if not await self.verify(transaction, canonical, code):
            return False
        await store.invalidate(transaction, rules.address_hash(self._key, canonical))
        return True

    async def verify(self, transaction: Transaction, canonical: str, code: str) -> bool:
        """Returns whether the code is that of the address, like `redeem`, and keeps it valid."""
        network = throttle.current_network()
        self._networks.check(network)
        await throttle.count_attempt(transaction, self.counter(canonical))
        self._networks.count_attempt(network)
        row = await store.get_for_update(transaction, rules.address_hash(self._key, canonical))
        if row is None or row.code_hash is None or row.expired:
            return False
        if not hmac.compare_digest(row.code_hash, rules.code_hash(self._key, canonical, code)):
            return False
        await self.reset_attempts(transaction, canonical)
        return True

    async def audit_failure(self, transaction: Transaction, canonical: str, user_id: str | None) -> None:
        """Records a wrong code in the audit log; `user_id` is None if no user has the address."""
        await throttle.audit_failure(transaction, self.counter(canonical), "CODE", user_id)

    async def reset_attempts(self, transaction: Transaction, canonical: str) -> None:
        """Resets the failed attempts of an address after its owner was verified."""
        await throttle.reset_failures(transaction, self.counter(canonical))
        self._networks.uncount_attempt(throttle.current_network())

    def counter(self, canonical: str) -> Counter:
        """Returns the counter of the attempts of this network on the codes of an address."""
        return throttle_rules.counter(self._key, canonical, throttle.current_network())
