"""Fakes of identity_service: a token issuer and an account feed."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from chassis import tokens
from chassis.revocation import Position
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.account_feed_service_pb2 import WatchAccountEventsResponse
from meno.access.v1.resources_pb2 import AccountEvent


class FakeTokenIssuer:
    """Signs access tokens as identity_service does."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "test", "use": "sig", "alg": tokens.ALGORITHM})

    def key_set(self) -> Mapping[str, Any]:
        """Returns the public keys as a JSON Web Key Set."""
        return KeySet([self.key]).as_dict(private=False)

    def token(
        self,
        user_id: str,
        *,
        role: str = "STUDENT",
        classes: Mapping[str, str] | None = None,
        lifetime: float = 300,
        **claims: Any,
    ) -> str:
        """Returns a token that is valid for `lifetime` seconds. `claims` replace the defaults or add to them."""
        now = int(time.time())
        body = {
            "iss": tokens.ISSUER,
            "aud": tokens.AUDIENCE,
            "iat": now,
            "exp": now + lifetime,
            "jti": uuid.uuid4().hex,
            "sub": user_id,
            "role": role,
            "classes": {} if classes is None else classes,
            "sid": str(uuid.uuid4()),
            "rv": 0,
            **claims,
        }
        return jwt.encode({"alg": tokens.ALGORITHM, "typ": tokens.TYPE, "kid": "test"}, body, self.key)


class FakeAccountFeed:
    """An account feed whose events the test appends."""

    def __init__(self) -> None:
        self._epoch = str(uuid.uuid4())
        self.events: list[AccountEvent] = []
        self._changed = asyncio.Event()

    def append(self, **kind: Any) -> None:
        """Appends an event, such as `user_erased=AccountEvent.UserErased(…)`."""
        self.events.append(AccountEvent(sequence=len(self.events) + 1, **kind))
        self._changed.set()

    def revoke_tokens(self, user_id: str, rights_version: int) -> None:
        """Revokes the tokens of a user below a rights version."""
        self.append(rights_lost=AccountEvent.RightsLost(user_id=user_id, rights_version=rights_version))

    def end_sign_in(self, user_id: str, sign_in_id: str) -> None:
        """Revokes the tokens of a sign-in."""
        self.append(sign_in_ended=AccountEvent.SignInEnded(user_id=user_id, sign_in_id=sign_in_id))

    def set_class_state(self, class_id: str, state: ClassState.ValueType) -> None:
        """Reports a new state of a class."""
        self.append(class_changed=AccountEvent.ClassChanged(class_id=class_id, state=state))

    def begin_epoch(self) -> None:
        """Begins a new, empty epoch, as a restore of a backup does."""
        self._epoch = str(uuid.uuid4())
        self.events.clear()

    async def follow(self, after: Position) -> AsyncIterator[WatchAccountEventsResponse]:
        """Streams the feed after a position, as WatchAccountEvents does."""
        after_sequence = after.sequence if after.epoch == self._epoch else 0
        yield WatchAccountEventsResponse(epoch=self._epoch)
        while True:
            self._changed.clear()
            for event in self.events[after_sequence:]:
                after_sequence = event.sequence
                yield WatchAccountEventsResponse(event=event)
            heartbeat = WatchAccountEventsResponse.Heartbeat(sequence=after_sequence)
            yield WatchAccountEventsResponse(heartbeat=heartbeat)
            try:
                async with asyncio.timeout(1):
                    await self._changed.wait()
            except TimeoutError:
                continue
