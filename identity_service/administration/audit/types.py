"""Value types of the audit log."""

from datetime import datetime
from typing import NamedTuple


class EntryRow(NamedTuple):
    """An entry of the audit log."""

    sequence: int
    entry_id: str
    occurred_at: datetime
    service: str
    action: str
    actor_user_id: str | None
    user_id: str | None
    class_id: str | None
    resource_id: str | None
    details: dict[str, str]
    request_id: str
    digest: bytes


class ChainHead(NamedTuple):
    """An entry up to which the chain is read or verified."""

    sequence: int
    digest: bytes


class Verification(NamedTuple):
    """The result of verifying the chain up to `head`."""

    head: ChainHead
    broken_at: int = 0
    """The sequence of the first entry that does not follow from its predecessor; 0 if there is none."""
