"""Signs access tokens, with keys that lie encrypted in the database."""

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from joserfc import jwt
from joserfc.jwk import ECKey

from chassis import tokens
from chassis.bell import Bell
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from identity_service.sign_in.keys import rules
from identity_service.sign_in.keys.rotation import Rotation
from identity_service.sign_in.keys.store import RING, KeyRow

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
    """Holds the key set of the installation, as it was read last."""

    def __init__(self, database: Database, rotation: Rotation) -> None:
        self._database = database
        self._rotation = rotation
        self._keys: Sequence[KeyRow] = ()
        self._private: Mapping[str, ECKey] = {}
        self._read_at = float("-inf")

    async def load(self) -> None:
        """Reads the keys, and does with them what is due."""
        begun = time.monotonic()
        async with self._database.transaction() as transaction:
            keys = await self._rotation.keys(transaction)
        self._private = {key.kid: self._rotation.private(key) for key in keys if key.retired_at is None}
        self._keys, self._read_at = keys, begun

    async def keep_loaded(self, bell: Bell, then: Callable[[], Awaitable[None]]) -> None:
        """Reads the keys again every minute, and when one is added, for ever; and does what comes `then`."""
        with bell.listen(RING) as rung:
            while True:
                await rung.wait(RELOAD_EVERY)
                try:
                    await self.load()
                    await then()
                except Exception as error:
                    log.warning("keys_not_loaded", error=repr(error))

    async def key_set(self) -> Mapping[str, Any]:
        """The public keys, as a JSON Web Key Set. Raises ServiceUnavailable where they are not known."""
        return {"keys": [key.public_jwk for key in rules.published(self._current(), datetime.now(UTC))]}

    def sign(self, subject: Subject) -> AccessToken:
        """Signs a token that holds for `tokens.LIFETIME`. Raises ServiceUnavailable without a key."""
        key = self._private[rules.signing(self._current(), datetime.now(UTC)).kid]
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
        header = {"alg": tokens.ALGORITHM, "typ": tokens.TYPE, "kid": key.kid}
        text = jwt.encode(header, claims, key)
        return AccessToken(text, datetime.fromtimestamp(expires, UTC))

    def _current(self) -> Sequence[KeyRow]:
        """The keys, where they were read lately: others may have been added and retired since."""
        if time.monotonic() - self._read_at > rules.STALE_AFTER.total_seconds():
            raise ServiceUnavailable()
        return self._keys
