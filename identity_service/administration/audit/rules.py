"""The hash chain of the audit log."""

import hashlib
import json
from datetime import UTC
from typing import Any

from identity_service.administration.audit.types import ChainHead, EntryRow

GENESIS_HASH = bytes(32)
"""The digest that precedes the first entry."""
GENESIS = ChainHead(0, GENESIS_HASH)
"""The start of the chain."""


def chain_hash(previous: bytes, entry: EntryRow) -> bytes:
    """Returns the SHA-256 of the previous digest and the entry, without the digest of the entry.

    The entry is hashed as JSON with sorted keys and no white space. Times are UTC in microseconds.
    """
    fields: dict[str, Any] = entry._asdict()
    del fields["digest"]
    fields["occurred_at"] = entry.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous + text.encode()).digest()


def append(head: ChainHead, entry: EntryRow) -> EntryRow:
    """Returns the entry with its sequence and digest as the successor of `head`."""
    entry = entry._replace(sequence=head.sequence + 1)
    return entry._replace(digest=chain_hash(head.digest, entry))


def follows(head: ChainHead, entry: EntryRow) -> bool:
    """Returns whether a stored entry is the successor of `head`."""
    return entry.sequence == head.sequence + 1 and entry.digest == chain_hash(head.digest, entry)
