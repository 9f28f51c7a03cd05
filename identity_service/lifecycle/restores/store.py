"""SQL of what a restore makes untrue."""

from sqlalchemy import delete, func, insert, update

from chassis.database import Transaction, statement
from identity_service.tables import FeedEpoch, SignIn, SigningKey

BEGIN_EPOCH = statement(
    insert(FeedEpoch).values(epoch=func.uuidv7()).returning(FeedEpoch.epoch),
    str,
)
END_SIGN_INS = statement(
    update(SignIn).where(SignIn.expires_at > func.now()).values(revoked_at=func.now(), expires_at=func.now())
)
FORGET_KEYS = statement(delete(SigningKey))


async def begin_epoch(transaction: Transaction) -> str:
    """Makes sequences of the account feed that were read before worthless; returns the new epoch."""
    epoch = await transaction.one(BEGIN_EPOCH)
    assert epoch is not None
    return epoch


async def end_sign_ins(transaction: Transaction) -> int:
    """Ends everybody's sign-ins; returns how many there were."""
    return await transaction.run(END_SIGN_INS)


async def forget_keys(transaction: Transaction) -> None:
    """Deletes the keys that sign tokens, of which the service then makes new ones."""
    await transaction.run(FORGET_KEYS)
