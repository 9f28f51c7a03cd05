"""SQL that invalidates the parts of a restored database that are no longer true."""

from sqlalchemy import delete, func, insert, update

from chassis.database import Transaction, statement
from identity_service.tables import feed_epochs, sign_ins, signing_keys

BEGIN_EPOCH = statement(
    insert(feed_epochs).values(epoch=func.uuidv7()).returning(feed_epochs.c.epoch),
    str,
)
END_SIGN_INS = statement(
    update(sign_ins)
    .where(sign_ins.c.expires_at > func.now())
    .values(revoked_at=func.now(), expires_at=func.now())
)
DELETE_KEYS = statement(delete(signing_keys))


async def begin_epoch(transaction: Transaction) -> str:
    """Begins a new epoch of the account feed and returns it. Sequences of earlier epochs become invalid."""
    epoch = await transaction.one(BEGIN_EPOCH)
    assert epoch is not None
    return epoch


async def end_sign_ins(transaction: Transaction) -> int:
    """Ends the sign-ins of all users. Returns the number of ended sign-ins."""
    return await transaction.run(END_SIGN_INS)


async def delete_keys(transaction: Transaction) -> None:
    """Deletes the signing keys. The service creates new ones when it starts."""
    await transaction.run(DELETE_KEYS)
