"""Changes the password of a user."""

from chassis import audit
from chassis.database import Database
from identity_service.errors import CredentialsInvalid
from identity_service.people.users import store as users
from identity_service.sign_in.passwords import store
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.sign_ins import commands as sign_ins
from identity_service.sign_in.throttle import commands as throttle
from meno.access.v1.resources_pb2 import AuditAction


async def change_password(
    database: Database,
    passwords: Passwords,
    user_id: str,
    *,
    old_password: str,
    new_password: str,
    current_sign_in_id: str,
) -> None:
    """Replaces a password and ends all other sign-ins. Has no effect if the new password is already set.

    Raises CredentialsInvalid, SignInRateLimited, PasswordCommon or PasswordBreached.
    """
    counter_key = passwords.counter_key(user_id)
    await throttle.count_attempt(database, counter_key)
    # A concurrent change may have replaced the hash since it was read; it is then verified again.
    while True:
        old_hash = await store.get(database, user_id)
        is_set = await passwords.verify(new_password, old_hash)
        if old_hash is None or not (is_set or await passwords.verify(old_password, old_hash)):
            raise CredentialsInvalid()
        await throttle.reset_failures(database, counter_key)
        if is_set:
            return
        await _check(database, passwords, user_id, new_password)
        new_hash = await passwords.hash(new_password)
        if await _replace(database, user_id, old_hash, new_hash, current_sign_in_id):
            return


async def _check(database: Database, passwords: Passwords, user_id: str, password: str) -> None:
    user = await users.get(database, user_id)
    if user is None:
        raise CredentialsInvalid()
    identifiers = (user.identifier(kind) for kind in ("LOGIN_NAME", "EMAIL", "PHONE"))
    await passwords.check(password, *identifiers, user.display_name, user.full_name)


async def _replace(
    database: Database, user_id: str, old_hash: str, new_hash: str, current_sign_in_id: str
) -> bool:
    async with database.transaction() as transaction:
        await users.get_for_update(transaction, user_id)
        if not await store.replace(transaction, user_id, old_hash, new_hash):
            return False
        await sign_ins.end_all(transaction, user_id, kept_id=current_sign_in_id)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_PASSWORD_CHANGED, user_id=user_id)
    return True
