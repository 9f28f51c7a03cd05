"""When keys sign, when they are published, and when the next one is due.

A replica that has not read the keys for KEY_CACHE neither publishes nor signs, and whoever verifies
asks again after KEY_CACHE at the latest. So a key is known everywhere LEAD after it was added, and no
replica signs with one whose successor has begun.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from chassis import tokens
from identity_service.sign_in.keys.store import KeyRow

STALE_AFTER = tokens.KEY_CACHE
"""How long a replica goes by the keys that it read last."""
LEAD = STALE_AFTER + tokens.KEY_CACHE
"""How long a key is published before it signs."""
OVERLAP = tokens.LIFETIME + 2 * tokens.CLOCK_SKEW
"""How long a key is published after its successor began: until every token that it signed has ended."""
KEPT_FOR = timedelta(days=1)
"""How long after that it is kept."""


def signing(keys: Sequence[KeyRow], now: datetime) -> KeyRow:
    """The key that signs: of those that are in use, which is one at least, the last that has begun.

    Keys come in the order in which they sign. Where none has begun, by a clock that is behind, it
    is the first.
    """
    in_use = [key for key in keys if key.retired_at is None]
    return next((key for key in reversed(in_use) if key.signs_from <= now), in_use[0])


def published(keys: Sequence[KeyRow], now: datetime) -> list[KeyRow]:
    """The keys that may have signed a token which still holds, or will sign soon."""
    return [key for key in keys if key.retired_at is None or key.retired_at > now]


def superseded(keys: Sequence[KeyRow], now: datetime) -> dict[str, datetime]:
    """The keys whose successor has begun since, and when they are retired."""
    in_use = [key for key in keys if key.retired_at is None]
    return {key.kid: retires(successor) for key, successor in pairwise(in_use) if successor.signs_from <= now}


def retires(successor: KeyRow) -> datetime:
    """When the key before is retired."""
    return successor.signs_from + OVERLAP


def waits(keys: Sequence[KeyRow], now: datetime) -> bool:
    """Whether the last key has not begun yet."""
    return keys[-1].signs_from > now


def is_due(keys: Sequence[KeyRow], now: datetime, lifetime: timedelta) -> bool:
    """Whether it is time to add the next key, so that none signs for longer than `lifetime`."""
    return keys[-1].signs_from + lifetime - LEAD <= now
