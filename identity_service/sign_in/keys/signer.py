"""Signs access tokens with the keys of the database."""

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from chassis import tokens
from chassis.background import run_forever
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from chassis.notifications import Notifier, Subscription
from chassis.revocation import Feed, Position
from identity_service.sign_in.keys import rules
from identity_service.sign_in.keys.rotation import KeyRotation
from identity_service.sign_in.keys.store import CHANNEL
from identity_service.sign_in.keys.types import AccessToken, KeyRow, Subject
from meno.access.v1.account_feed_service_pb2 import WatchAccountEventsResponse

RELOAD_INTERVAL_SECONDS = 60.0


class TokenSigner:
    """Signs with the keys of the installation, and caches them."""

    def __init__(self, database: Database, rotation: KeyRotation) -> None:
        self._database = database
        self._rotation = rotation
        self._keys: Sequence[KeyRow] = ()
        self._private: Mapping[str, ECKey] = {}
        self._loaded_at = float("-inf")

    async def load(self) -> None:
        """Rotates the keys if it is due, and loads them. Raises SecretMismatch."""
        started_at = time.monotonic()
        async with self._database.transaction() as transaction:
            keys = await self._rotation.rotate_if_due(transaction)
        self._private = {key.kid: self._rotation.decrypt(key) for key in keys if key.retired_at is None}
        self._keys, self._loaded_at = keys, started_at

    async def run(self, notifier: Notifier, on_reload: Callable[[], Awaitable[None]]) -> None:
        """Reloads the keys every minute and after each new key, then calls `on_reload`. Never returns."""
        with notifier.subscribe(CHANNEL) as subscription:
            await run_forever(partial(self._reload, subscription, on_reload), "keys_not_loaded")

    async def follow(self, feed: Feed, after: Position) -> AsyncIterator[WatchAccountEventsResponse]:
        """Yields the steps of the account feed, and reloads the keys before a step that retires one.

        This process therefore signs with another key before it rejects the tokens of the retired one.
        """
        async for step in feed(after):
            if step.event.HasField("signing_key_retired"):
                await self.load()
            yield step

    async def _reload(self, subscription: Subscription, on_reload: Callable[[], Awaitable[None]]) -> None:
        await subscription.wait(RELOAD_INTERVAL_SECONDS)
        await self.load()
        await on_reload()

    async def key_set(self) -> Mapping[str, Any]:
        """Returns the public keys as a JSON Web Key Set. Raises ServiceUnavailable if the keys are stale."""
        published = rules.select_published(self._current_keys(), datetime.now(UTC))
        return {"keys": [key.public_jwk for key in published]}

    def sign(self, subject: Subject) -> AccessToken:
        """Signs a token that is valid for `tokens.LIFETIME`. Raises ServiceUnavailable if the keys are stale."""
        key = self._private[rules.select_signing_key(self._current_keys(), datetime.now(UTC)).kid]
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

    def _current_keys(self) -> Sequence[KeyRow]:
        # Another replica may have added and retired keys since the last successful load.
        if time.monotonic() - self._loaded_at > rules.STALE_AFTER.total_seconds():
            raise ServiceUnavailable()
        return self._keys
