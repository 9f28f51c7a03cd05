"""Creates, rotates and retires the signing keys. Their private keys are encrypted in the database."""

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
from identity_service.sign_in.keys.types import KeyRow
from meno.access.v1.resources_pb2 import AuditAction


class SecretMismatch(Exception):
    """The keys were encrypted with another secret."""

    def __init__(self) -> None:
        super().__init__("the signing keys were encrypted with another MENO_SECRET")


class KeyRotation:
    """Rotates the signing keys of the installation."""

    def __init__(self, secret: bytes, lifetime: timedelta) -> None:
        """`lifetime` is the time for which a key signs."""
        self._lifetime = lifetime
        key = hmac.digest(secret, b"signing keys", hashlib.sha256)
        self._cipher = Fernet(base64.urlsafe_b64encode(key))

    async def rotate_if_due(self, transaction: Transaction) -> list[KeyRow]:
        """Adds, retires and deletes keys as far as it is due, and returns all keys in signing order.

        The keys stay locked until the transaction ends. Raises SecretMismatch.
        """
        now = datetime.now(UTC)
        await store.lock(transaction)
        await store.purge(transaction, rules.RETENTION)
        keys = await store.list_all(transaction)
        if all(key.retired_at for key in keys):
            keys.append(await self._add(transaction, keys, now))
        elif rules.is_rotation_due(keys, now, self._lifetime):
            keys.append(await self.add_next(transaction, keys))
        retired = rules.find_superseded(keys, now)
        for kid, retired_at in retired.items():
            await store.retire(transaction, kid, retired_at)
        return [key._replace(retired_at=retired.get(key.kid, key.retired_at)) for key in keys]

    async def add_next(self, transaction: Transaction, keys: Sequence[KeyRow]) -> KeyRow:
        """Adds the next key, which signs after `rules.PUBLISH_BEFORE_USE`. Raises SecretMismatch."""
        self.decrypt(keys[-1])
        return await self._add(transaction, keys, datetime.now(UTC) + rules.PUBLISH_BEFORE_USE)

    def decrypt(self, key: KeyRow) -> ECKey:
        """Returns the private key. Raises SecretMismatch."""
        try:
            return ECKey.import_key(json.loads(self._cipher.decrypt(key.private_key)))
        except InvalidToken as error:
            raise SecretMismatch() from error

    async def _add(self, transaction: Transaction, keys: Sequence[KeyRow], signs_from: datetime) -> KeyRow:
        key = ECKey.generate_key("P-256", {"kid": str(uuid.uuid4()), "use": "sig", "alg": tokens.ALGORITHM})
        private = json.dumps(key.as_dict(private=True)).encode()
        public = dict(key.as_dict(private=False))
        row = KeyRow(str(key.kid), self._cipher.encrypt(private), public, signs_from)
        await store.add(transaction, row)
        # The first key of an installation is not audited, because it replaces none.
        if keys:
            await audit.record(transaction, AuditAction.AUDIT_ACTION_SIGNING_KEY_ADDED, kid=row.kid)
        return row
