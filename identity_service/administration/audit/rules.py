"""How one audit entry follows from those before it."""

import hashlib
import json
from datetime import UTC
from typing import Any

from identity_service.administration.audit.store import EntryRow

ORIGIN = bytes(32)
"""What the first entry follows from."""


def seal(before: bytes, entry: EntryRow) -> bytes:
    """SHA-256 of the entry and of what it follows from; the entry's own digest has no part in it.

    The text is JSON with sorted keys and no white space, times in UTC to the microsecond.
    """
    fields: dict[str, Any] = entry._asdict()
    del fields["digest"]
    fields["occurred_at"] = entry.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(before + text.encode()).digest()
