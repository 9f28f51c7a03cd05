"""The part of AuthService that is about passwords."""

from google.protobuf.empty_pb2 import Empty

from chassis import audit
from chassis.calls import Context, caller
from chassis.database import Database
from identity_service.errors import CredentialsInvalid
from identity_service.people.users import store as users
from identity_service.people.users.servicer import message
from identity_service.sign_in.passwords import store
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.sign_ins import ending
from identity_service.sign_in.tokens import store as attempts
from identity_service.sign_in.tokens import throttling
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import ChangePasswordRequest


class PasswordServicer:
    """Changes passwords."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def ChangePassword(self, request: ChangePasswordRequest, context: Context) -> Empty:
        counter = self._passwords.counter(request.user_id)
        await throttling.count_attempt(self._database, counter)
        # Whoever else changes it at the same moment may have been first.
        while (old_hash := await self._proven(request, counter)) is not None:
            await self._check(request.user_id, request.new_password)
            new_hash = await self._passwords.hash(request.new_password)
            if await self._replace(request.user_id, old_hash, new_hash):
                break
        return Empty()

    async def _proven(self, request: ChangePasswordRequest, counter: bytes) -> str | None:
        """The hash that is to be replaced, for who knows its password; None where that is done.

        Raises CredentialsInvalid.
        """
        stored = await store.get(self._database, request.user_id)
        replaced = await self._passwords.verify(request.new_password, stored)
        if not replaced and not await self._passwords.verify(request.old_password, stored):
            raise CredentialsInvalid()
        await attempts.forget_failures(self._database, counter)
        return None if replaced else stored

    async def _check(self, user_id: str, password: str) -> None:
        """Passes a password that this person may have. Raises PasswordCommon, PasswordBreached."""
        row = await users.get(self._database, user_id)
        if row is None:
            raise CredentialsInvalid()
        owner = message(row)
        known = (owner.login_name, owner.email, owner.phone, owner.display_name, owner.full_name)
        await self._passwords.check(password, *known)

    async def _replace(self, user_id: str, old_hash: str, new_hash: str) -> bool:
        async with self._database.transaction() as transaction:
            await users.locked(transaction, user_id)
            if not await store.replace(transaction, user_id, old_hash, new_hash):
                return False
            await ending.end_all(transaction, user_id, but=caller().sign_in_id)
            await audit.record(transaction, AuditAction.AUDIT_ACTION_PASSWORD_CHANGED, user_id=user_id)
        return True
