"""The RPCs of UserService that change the role or the state of an account."""

from datetime import UTC, datetime

from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import WriteTransaction, write
from identity_service import reauthentication
from identity_service.administration.config.reader import ConfigReader
from identity_service.lifecycle.deletion import commands
from identity_service.people.users import commands as users
from identity_service.people.users.messages import ROLES, to_message
from identity_service.people.users.types import UserRow
from meno.identity.v1.resources_pb2 import User
from meno.identity.v1.user_service_pb2 import (
    DeactivateUserRequest,
    DeleteUserRequest,
    ReactivateUserRequest,
    SetGlobalRoleRequest,
    UndeleteUserRequest,
)


class DeletionServicer:
    """Handles the RPCs about roles, deactivation and deletion of accounts."""

    def __init__(self, database: Database, config: ConfigReader) -> None:
        self._database = database
        self._config = config

    async def SetGlobalRole(self, request: SetGlobalRoleRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            await reauthentication.check(transaction, caller())
            role = ROLES.name(request.role)
            row = await commands.set_global_role(transaction, request.user_id, role)
            return await self._respond(transaction, row)

    async def DeactivateUser(self, request: DeactivateUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = await commands.deactivate_user(
                transaction, request.user_id, caller().user_id, force=request.force
            )
            return await self._respond(transaction, row)

    async def ReactivateUser(self, request: ReactivateUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = await commands.reactivate_user(transaction, request.user_id)
            return await self._respond(transaction, row)

    async def DeleteUser(self, request: DeleteUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            if request.user_id == caller().user_id:
                await reauthentication.check_except_guests(transaction, caller())
            row = await commands.delete_user(transaction, request.user_id, request.etag, caller().user_id)
            return await self._respond(transaction, row)

    async def UndeleteUser(self, request: UndeleteUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = await commands.undelete_user(transaction, request.user_id)
            return await self._respond(transaction, row)

    async def _respond(self, transaction: WriteTransaction, row: UserRow) -> User:
        purge_delay = await users.get_purge_delay(transaction, self._config, [row])
        return transaction.respond(to_message(row, datetime.now(UTC), purge_delay))
