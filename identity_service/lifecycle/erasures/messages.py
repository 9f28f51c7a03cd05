"""Maps erasures to the messages of the contract."""

from chassis.conversions import to_timestamp
from identity_service.lifecycle.erasures import rules
from identity_service.lifecycle.erasures.types import ErasureProgress, ReceiptRow
from meno.identity.v1.resources_pb2 import Erasure


def to_message(erasure: ErasureProgress) -> Erasure:
    """Returns the erasure with its receipts."""
    return Erasure(
        user_id=erasure.user_id,
        create_time=to_timestamp(erasure.created_at),
        complete_time=to_timestamp(rules.completed_at(erasure)),
        receipts=map(_to_receipt, erasure.receipts),
    )


def _to_receipt(row: ReceiptRow) -> Erasure.Receipt:
    return Erasure.Receipt(service=row.service, rows=row.rows, create_time=to_timestamp(row.created_at))
