"""Rules of signing keys: when a key signs, when it is published, and when the next one is due.

A replica that has not read the keys for `tokens.KEY_CACHE` neither publishes keys nor signs. A verifier
refreshes its keys after `tokens.KEY_CACHE` at the latest. Therefore every verifier knows a key
PUBLISH_BEFORE_USE after it was added, and no replica signs with a key after its successor became active.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from chassis import tokens
from identity_service.sign_in.keys.types import KeyRow

STALE_AFTER = tokens.KEY_CACHE
"""Time for which a replica uses the keys that it read last."""
PUBLISH_BEFORE_USE = STALE_AFTER + tokens.KEY_CACHE
"""Time between the publication of a key and its first use."""
OVERLAP = tokens.LIFETIME + 2 * tokens.CLOCK_SKEW
"""Time for which a key stays published after its successor became active: its last token has then expired."""
RETENTION = timedelta(days=1)
"""Time for which a retired key is kept."""


def select_signing_key(keys: Sequence[KeyRow], now: datetime) -> KeyRow:
    """Returns the key that signs: the latest active key that is not retired.

    `keys` is ordered by `signs_from` and contains at least one key that is not retired. If none is active
    yet, because the clock of the replica is slow, the first one signs.
    """
    in_use = [key for key in keys if key.retired_at is None]
    return next((key for key in reversed(in_use) if key.signs_from <= now), in_use[0])


def select_published(keys: Sequence[KeyRow], now: datetime) -> list[KeyRow]:
    """Returns the keys that may have signed a valid token, or will sign soon."""
    return [key for key in keys if key.retired_at is None or key.retired_at > now]


def find_superseded(keys: Sequence[KeyRow], now: datetime) -> dict[str, datetime]:
    """Returns the retirement times of the keys whose successor is active, by key id."""
    in_use = [key for key in keys if key.retired_at is None]
    return {
        key.kid: retirement_time(successor)
        for key, successor in pairwise(in_use)
        if successor.signs_from <= now
    }


def retirement_time(successor: KeyRow) -> datetime:
    """Returns the time at which the predecessor of a key is retired."""
    return successor.signs_from + OVERLAP


def has_pending_key(keys: Sequence[KeyRow], now: datetime) -> bool:
    """Returns whether the last key is not active yet."""
    return keys[-1].signs_from > now


def is_rotation_due(keys: Sequence[KeyRow], now: datetime, lifetime: timedelta) -> bool:
    """Returns whether the next key must be added now, so that no key signs for longer than `lifetime`."""
    return keys[-1].signs_from + lifetime - PUBLISH_BEFORE_USE <= now
