"""Issues and redeems one-time codes."""

import hmac
import secrets
from datetime import datetime

from chassis.database import Executor, Transaction
from identity_service.errors import SignInRateLimited
from identity_service.sign_in.codes import rules, store
from identity_service.sign_in.throttle import commands as throttle
from identity_service.sign_in.throttle import rules as throttle_rules


class OneTimeCodes:
    """The codes of an installation. Addresses and codes are stored as hashes with a key from its secret."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"one-time codes", "sha256")

    async def issue(self, executor: Executor, canonical: str) -> tuple[str, datetime]:
        """Returns a new code for an address and its expiry. The previous code becomes invalid.

        Raises SignInRateLimited after too many consecutive codes.
        """
        code = rules.format_code(secrets.randbelow(10**rules.DIGITS))
        address_hash = rules.address_hash(self._key, canonical)
        code_hash = rules.code_hash(self._key, canonical, code)
        expires_at = await store.replace(executor, address_hash, code_hash)
        if expires_at is None:
            raise SignInRateLimited(await store.get_delay(executor, address_hash))
        return code, expires_at

    async def redeem(self, transaction: Transaction, canonical: str, code: str) -> bool:
        """Returns whether the code is that of the address, and invalidates it.

        A wrong code is counted for the code and for the address, so that a new code does not allow more
        guesses. The caller must commit the transaction also if the code is wrong. Raises
        SignInRateLimited.
        """
        await throttle.count_attempt(transaction, self._counter_key(canonical))
        address_hash = rules.address_hash(self._key, canonical)
        row = await store.get_for_update(transaction, address_hash)
        if row is None or row.code_hash is None or row.expired:
            return False
        if not hmac.compare_digest(row.code_hash, rules.code_hash(self._key, canonical, code)):
            await store.count_wrong_attempt(transaction, address_hash)
            return False
        await store.invalidate(transaction, address_hash)
        await self.reset_attempts(transaction, canonical)
        return True

    async def reset_attempts(self, transaction: Transaction, canonical: str) -> None:
        """Resets the failed attempts of an address after its owner was verified."""
        await throttle.reset_failures(transaction, self._counter_key(canonical))

    def _counter_key(self, canonical: str) -> bytes:
        return throttle_rules.counter_key(self._key, canonical)
