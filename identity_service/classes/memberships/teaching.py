"""A class in use keeps a teacher who is let in, whatever happens to the others."""

from chassis.database import Transaction
from identity_service.classes.memberships import store
from identity_service.errors import LastTeacher
from identity_service.people.users import store as users


async def check_replaceable(transaction: Transaction, user_id: str, class_id: str | None = None) -> None:
    """Passes where somebody else teaches what the person does: this class, or each that they are in.

    Until the transaction ends nobody else ceases to be a teacher. Whoever locks classes as well locks
    them before. Raises LastTeacher with the first class that would have no teacher left.
    """
    # The person before all teachers, in this order everywhere, so that no two wait for each other.
    await users.locked(transaction, user_id, deleted=True)
    await store.lock_teachers(transaction)
    for alone in await store.taught_alone(transaction, user_id):
        if class_id in (None, alone):
            raise LastTeacher(alone)
