"""Changes the password of a user."""

from chassis import audit
from chassis.database import Database
from identity_service.errors import CredentialsInvalid
from identity_service.people.users import store as users
from identity_service.sign_in.passwords import rules, store
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.passwords.types import PasswordChange
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
    """Replaces a password and ends all other sign-ins. A repetition of the last change has no effect.

    Raises CredentialsInvalid, SignInRateLimited, FieldInvalid, PasswordCommon or PasswordBreached.
    """
    counter = passwords.counter(user_id)
    await throttle.count_attempt(database, counter)
    # A concurrent change may have replaced the hash since it was read; it is then verified again.
    while True:
        stored = await store.get_change(database, user_id)
        is_correct = await passwords.verify(old_password, stored and stored.password_hash)
        # Only the new password would not identify a repetition: a caller with a stolen token could guess the
        # current password in this field, in addition to the guess in the other one.
        change = rules.join_change(old_password, new_password)
        is_repeated = not is_correct and await passwords.verify(change, stored and stored.change_hash)
        if stored is None or not (is_correct or is_repeated):
            async with database.transaction() as transaction:
                await throttle.audit_failure(transaction, counter, "PASSWORD", user_id)
            raise CredentialsInvalid()
        await throttle.reset_failures(database, counter)
        if is_repeated or rules.canonicalize(old_password) == rules.canonicalize(new_password):
            return
        await _check(database, passwords, user_id, new_password)
        changed = PasswordChange(await passwords.hash(new_password), await passwords.hash(change))
        if await _replace(database, user_id, stored.password_hash, changed, current_sign_in_id):
            return


async def _check(database: Database, passwords: Passwords, user_id: str, password: str) -> None:
    user = await users.get(database, user_id)
    if user is None:
        raise CredentialsInvalid()
    identifiers = (user.identifier(kind) for kind in ("LOGIN_NAME", "EMAIL", "PHONE"))
    await passwords.check(password, *identifiers, user.display_name, user.full_name, field="new_password")


async def _replace(
    database: Database, user_id: str, old_hash: str, changed: PasswordChange, current_sign_in_id: str
) -> bool:
    async with database.transaction() as transaction:
        await users.get_for_update(transaction, user_id)
        if not await store.change(transaction, user_id, old_hash, changed):
            return False
        await sign_ins.end_all(transaction, user_id, kept_id=current_sign_in_id)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_PASSWORD_CHANGED, user_id=user_id)
    return True
