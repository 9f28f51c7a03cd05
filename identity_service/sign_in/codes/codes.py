"""One-time codes: issued for an address, and redeemed once."""

import hmac
from datetime import datetime

from chassis.database import Executor, Transaction
from identity_service.errors import SignInThrottled
from identity_service.sign_in.codes import rules, store
from identity_service.sign_in.tokens import rules as token_rules
from identity_service.sign_in.tokens import store as attempts
from identity_service.sign_in.tokens import throttling


class Codes:
    """The codes of an installation: addresses and codes lie hashed with its secret."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"one-time codes", "sha256")

    async def issue(self, executor: Executor, canonical: str) -> tuple[str, datetime]:
        """A new code for an address, and when it expires; the one before serves no more.

        Raises SignInThrottled for too many in a row.
        """
        code = rules.new_code()
        address_hash = rules.address_hash(self._key, canonical)
        code_hash = rules.code_hash(self._key, canonical, code)
        expires_at = await store.issue(executor, address_hash, code_hash)
        if expires_at is None:
            raise SignInThrottled(await store.wait(executor, address_hash))
        return code, expires_at

    async def redeem(self, transaction: Transaction, canonical: str, code: str) -> bool:
        """Whether this is the code for an address, which serves no more then.

        What is wrong is counted twice, for the code and for the address, so that new codes give no
        new guesses: the transaction must be committed. Raises SignInThrottled.
        """
        await throttling.count_attempt(transaction, token_rules.counter(self._key, canonical))
        address_hash = rules.address_hash(self._key, canonical)
        row = await store.locked(transaction, address_hash)
        if row is None or row.code_hash is None or row.expired:
            return False
        if not hmac.compare_digest(row.code_hash, rules.code_hash(self._key, canonical, code)):
            await store.count_wrong(transaction, address_hash)
            return False
        await store.end(transaction, address_hash)
        await self.forget_attempts(transaction, canonical)
        return True

    async def forget_attempts(self, transaction: Transaction, canonical: str) -> None:
        """Begins the count of an address anew, whose owner it turned out to be."""
        await attempts.forget_failures(transaction, token_rules.counter(self._key, canonical))
