"""Looks after the keys: makes them, retires them, and keeps their private halves encrypted."""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken
from joserfc.jwk import ECKey

from chassis import audit, tokens
from chassis.database import Transaction
from identity_service.sign_in.keys import rules, store
from identity_service.sign_in.keys.store import KeyRow
from meno.access.v1.audit_service_pb2 import AuditAction


class SecretIsAnother(Exception):
    """The keys were encrypted under another secret."""

    def __init__(self) -> None:
        super().__init__("the signing keys were encrypted under another MENO_SECRET")


class Rotation:
    """The keys of the installation as they lie in the database."""

    def __init__(self, secret: bytes, lifetime: timedelta) -> None:
        """`lifetime` is for how long a key signs."""
        self._lifetime = lifetime
        key = hmac.digest(secret, b"signing keys", hashlib.sha256)
        self._cipher = Fernet(base64.urlsafe_b64encode(key))

    async def keys(self, transaction: Transaction) -> list[KeyRow]:
        """The keys, in the order in which they sign; first whatever is due is done.

        Nobody else changes them until the transaction ends.
        """
        now = datetime.now(UTC)
        await store.lock(transaction)
        await store.purge(transaction, rules.KEPT_FOR)
        keys = await store.every(transaction)
        if all(key.retired_at for key in keys):
            keys.append(await self._add(transaction, keys, now))
        elif rules.is_due(keys, now, self._lifetime):
            keys.append(await self.add_next(transaction, keys))
        retired = rules.superseded(keys, now)
        for kid, retired_at in retired.items():
            await store.retire(transaction, kid, retired_at)
        return [key._replace(retired_at=retired.get(key.kid, key.retired_at)) for key in keys]

    async def add_next(self, transaction: Transaction, keys: Sequence[KeyRow]) -> KeyRow:
        """Adds a key to those that there are; it signs as soon as everybody knows it. Raises SecretIsAnother."""
        self.private(keys[-1])
        return await self._add(transaction, keys, datetime.now(UTC) + rules.LEAD)

    def private(self, key: KeyRow) -> ECKey:
        """A key that can sign. Raises SecretIsAnother."""
        try:
            return ECKey.import_key(json.loads(self._cipher.decrypt(key.private_key)))
        except InvalidToken as error:
            raise SecretIsAnother() from error

    async def _add(self, transaction: Transaction, keys: Sequence[KeyRow], signs_from: datetime) -> KeyRow:
        key = ECKey.generate_key("P-256", {"kid": str(uuid.uuid4()), "use": "sig", "alg": tokens.ALGORITHM})
        private = json.dumps(key.as_dict(private=True)).encode()
        public = dict(key.as_dict(private=False))
        row = KeyRow(str(key.kid), self._cipher.encrypt(private), public, signs_from)
        await store.add(transaction, row)
        # An installation's first key takes the place of none.
        if keys:
            await audit.record(transaction, AuditAction.AUDIT_ACTION_SIGNING_KEY_ADDED, kid=row.kid)
        return row
