"""The part of UserService that is about what becomes of accounts. What is so already is not done again."""

from chassis import audit, etags
from chassis.calls import Context, caller
from chassis.database import Database, Transaction
from chassis.idempotency import WriteTransaction, write
from identity_service.account_feed import store as accounts
from identity_service.administration.config.config import Config
from identity_service.errors import UserNotFound
from identity_service.lifecycle import removal
from identity_service.lifecycle.deletion import store
from identity_service.people.users import store as users
from identity_service.people.users.servicer import ROLES, shown
from identity_service.people.users.store import UserRow
from identity_service.sign_in.sign_ins import commands as sign_ins
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.user_service_pb2 import (
    DeactivateUserRequest,
    DeleteUserRequest,
    ReactivateUserRequest,
    SetGlobalRoleRequest,
    UndeleteUserRequest,
    User,
)


class LifecycleServicer:
    """Gives roles, shuts people out and lets them in, deletes and restores accounts."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config

    async def SetGlobalRole(self, request: SetGlobalRoleRequest, context: Context) -> User:
        role = ROLES.name(request.role)
        async with write(self._database) as transaction:
            row = _found(await users.locked(transaction, request.user_id), request.user_id)
            if role != row.role:
                await removal.check_not_last_admin(transaction, row)
                await store.set_role(transaction, row.user_id, role)
                await accounts.lose_rights(transaction, row.user_id)
                action = AuditAction.AUDIT_ACTION_USER_ROLE_SET
                await audit.record(transaction, action, user_id=row.user_id, before=row.role, after=role)
            return await self._answer(transaction, row.user_id)

    async def DeactivateUser(self, request: DeactivateUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = _found(await users.locked(transaction, request.user_id), request.user_id)
            if row.deactivated_at is None:
                await removal.check_not_last_admin(transaction, row)
                await store.deactivate(transaction, row.user_id, caller().user_id)
                await sign_ins.end_all(transaction, row.user_id)
                await _record(transaction, AuditAction.AUDIT_ACTION_USER_DEACTIVATED, row)
            return await self._answer(transaction, row.user_id)

    async def ReactivateUser(self, request: ReactivateUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = _found(await users.locked(transaction, request.user_id), request.user_id)
            if row.deactivated_at is not None:
                await store.reactivate(transaction, row.user_id)
                await _record(transaction, AuditAction.AUDIT_ACTION_USER_REACTIVATED, row)
            return await self._answer(transaction, row.user_id)

    async def DeleteUser(self, request: DeleteUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = _found(await users.locked(transaction, request.user_id, deleted=True), request.user_id)
            if row.deleted_at is None:
                etags.check(request.etag, row.version)
                await removal.check_removable(transaction, row)
                await store.delete(transaction, row.user_id, caller().user_id)
                await sign_ins.end_all(transaction, row.user_id)
                await _record(transaction, AuditAction.AUDIT_ACTION_USER_DELETED, row)
            return await self._answer(transaction, row.user_id)

    async def UndeleteUser(self, request: UndeleteUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = _found(await users.locked(transaction, request.user_id, deleted=True), request.user_id)
            if row.deleted_at is not None:
                await store.undelete(transaction, row.user_id)
                await _record(transaction, AuditAction.AUDIT_ACTION_USER_UNDELETED, row)
            return await self._answer(transaction, row.user_id)

    async def _answer(self, transaction: WriteTransaction, user_id: str) -> User:
        row = _found(await users.get(transaction, user_id, deleted=True), user_id)
        return transaction.respond(await shown(transaction, self._config, row))


def _found(row: UserRow | None, user_id: str) -> UserRow:
    if row is None:
        raise UserNotFound(user_id)
    return row


async def _record(transaction: Transaction, action: AuditAction.ValueType, row: UserRow) -> None:
    await audit.record(transaction, action, user_id=row.user_id)
