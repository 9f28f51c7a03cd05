"""Signs access tokens, with a key that lies encrypted in the database."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from cryptography.fernet import Fernet
from joserfc import jwt
from joserfc.jwk import ECKey

from chassis import tokens
from chassis.database import Database
from identity_service.keys import store
from identity_service.keys.store import KeyRow

RELOAD_EVERY = 60.0

log = structlog.get_logger()


class AccessToken(NamedTuple):
    """A signed token and the moment at which it stops being accepted."""

    text: str
    expires_at: datetime


class Subject(NamedTuple):
    """Whom a token is for, and what it lets them do."""

    user_id: str
    role: str
    rights_version: int
    guest: bool
    classes: dict[str, str]
    """Class id to class role, of the classes that are in use."""
    archived: dict[str, str]
    """The same of those that are read-only."""
    sign_in_id: str


class Issuer:
    """Holds the key set of the installation."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        key = hmac.digest(secret, b"signing keys", hashlib.sha256)
        self._cipher = Fernet(base64.urlsafe_b64encode(key))
        self._signing: ECKey | None = None
        self._published: list[dict[str, Any]] = []

    async def load(self) -> None:
        """Reads the keys; makes the first one where there is none."""
        async with self._database.transaction() as transaction:
            await store.lock(transaction)
            signing = await store.signing(transaction)
            if signing is None:
                signing = self._new_key()
                await store.add(transaction, signing)
            published = await store.published(transaction)
        self._signing = ECKey.import_key(json.loads(self._cipher.decrypt(signing.private_key)))
        self._published = [key.public_jwk for key in published]

    async def keep_loaded(self) -> None:
        """Reads the keys again every minute, for ever."""
        while True:
            await asyncio.sleep(RELOAD_EVERY)
            try:
                await self.load()
            except Exception as error:
                log.warning("keys_not_loaded", error=repr(error))

    async def key_set(self) -> Mapping[str, Any]:
        """The public keys, as a JSON Web Key Set."""
        return {"keys": self._published}

    def sign(self, subject: Subject) -> AccessToken:
        """Signs a token that holds for `tokens.LIFETIME`."""
        if self._signing is None:
            raise LookupError("the keys are not loaded")
        now = int(time.time())
        expires = now + int(tokens.LIFETIME.total_seconds())
        claims: dict[str, Any] = {
            "iss": tokens.ISSUER,
            "aud": tokens.AUDIENCE,
            "iat": now,
            "exp": expires,
            "jti": str(uuid.uuid4()),
            "sub": subject.user_id,
            "role": subject.role,
            "classes": subject.classes,
            "sid": subject.sign_in_id,
            "rv": subject.rights_version,
        }
        if subject.archived:
            claims["archived"] = subject.archived
        if subject.guest:
            claims["guest"] = True
        header = {"alg": tokens.ALGORITHM, "typ": tokens.TYPE, "kid": self._signing.kid}
        text = jwt.encode(header, claims, self._signing)
        return AccessToken(text, datetime.fromtimestamp(expires, UTC))

    def _new_key(self) -> KeyRow:
        key = ECKey.generate_key("P-256", {"kid": str(uuid.uuid4()), "use": "sig", "alg": tokens.ALGORITHM})
        private = json.dumps(key.as_dict(private=True)).encode()
        public = dict(key.as_dict(private=False))
        return KeyRow(kid=str(key.kid), private_key=self._cipher.encrypt(private), public_jwk=public)
