"""SQL of the user to whom credentials are linked."""

from sqlalchemy import bindparam, func, null, select, update

from chassis.database import Transaction, columns, statement
from identity_service.sign_in.credentials.types import UserRow
from identity_service.tables import users

_CHANGED = ("display_name", "nickname", "role", "guest")

GET_USER_FOR_UPDATE = statement(
    select(*columns(UserRow, users))
    .where(users.c.user_id == bindparam("user_id"), users.c.deleted_at == null())
    .with_for_update(),
    UserRow,
)
UPDATE_USER = statement(
    update(users)
    .where(users.c.user_id == bindparam("user_id"))
    .values({name: bindparam(name) for name in _CHANGED})
    .values(version=users.c.version + 1, updated_at=func.now())
)


async def get_user_for_update(transaction: Transaction, user_id: str) -> UserRow | None:
    """Returns a user, or None, and locks the row until the transaction ends."""
    return await transaction.one(GET_USER_FOR_UPDATE, user_id=user_id)


async def update_user(transaction: Transaction, user_id: str, user: UserRow) -> None:
    """Stores the name, the role and the guest flag of a user."""
    values = {name: getattr(user, name) for name in _CHANGED}
    await transaction.run(UPDATE_USER, user_id=user_id, **values)
