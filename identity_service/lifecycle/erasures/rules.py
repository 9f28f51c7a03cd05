"""Rules of erasures."""

from datetime import datetime

from identity_service.lifecycle.erasures.types import ErasureProgress

SERVICES = frozenset({"identity_service", "content_service", "session_service", "chat_service"})
"""The services whose receipts make an erasure complete."""


def completed_at(erasure: ErasureProgress) -> datetime | None:
    """Returns the time of the last receipt, or None while the receipt of a service is missing."""
    times = {receipt.service: receipt.created_at for receipt in erasure.receipts}
    return max(erasure.created_at, *times.values()) if times.keys() >= SERVICES else None
