"""The RPCs of UserService for users and their profiles."""

from datetime import UTC, datetime

from chassis import audit, paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service import reauthentication
from identity_service.administration.config.reader import ConfigReader
from identity_service.people.users import commands, store
from identity_service.people.users.creation import NewAccount
from identity_service.people.users.messages import (
    ROLES,
    read_changes,
    read_onboarding_changes,
    to_message,
    to_user_name,
)
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.resources_pb2 import User
from meno.identity.v1.user_service_pb2 import (
    BatchGetUsersRequest,
    BatchGetUsersResponse,
    CompleteOnboardingRequest,
    CreateUserRequest,
    GetUserRequest,
    ListUsersRequest,
    ListUsersResponse,
    UpdateUserRequest,
)


class UserServicer:
    """Serves users and their profiles."""

    def __init__(self, database: Database, config: ConfigReader) -> None:
        self._database = database
        self._config = config

    async def GetUser(self, request: GetUserRequest, context: Context) -> User:
        row = await commands.get_user(
            self._database, request.user_id, include_deleted=caller().role == "ADMIN"
        )
        purge_delay = await commands.get_purge_delay(self._database, self._config, [row])
        return to_message(row, datetime.now(UTC), purge_delay)

    async def UpdateUser(self, request: UpdateUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = await commands.update_profile(
                transaction, request.user_id, request.etag, read_changes(request)
            )
            if row.user_id != caller().user_id:
                await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_UPDATED, user_id=row.user_id)
            return transaction.respond(to_message(row, datetime.now(UTC)))

    async def CompleteOnboarding(self, request: CompleteOnboardingRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = await commands.complete_onboarding(
                transaction, request.user_id, read_onboarding_changes(request), request.time_zone
            )
            return transaction.respond(to_message(row, datetime.now(UTC)))

    async def CreateUser(self, request: CreateUserRequest, context: Context) -> User:
        account = NewAccount(
            display_name=request.display_name,
            role=ROLES.name(request.role),
            login_name=request.login_name,
            email=request.email,
            phone=request.phone,
        )
        async with write(self._database) as transaction:
            if account.role == "ADMIN":
                await reauthentication.check(transaction, caller())
            row = await commands.create_user(transaction, account)
            return transaction.respond(to_message(row, datetime.now(UTC)))

    async def ListUsers(self, request: ListUsersRequest, context: Context) -> ListUsersResponse:
        (after_id,) = paging.decode_page_token(request, (paging.MIN_UUID,))
        rows = await commands.list_users(
            self._database,
            ROLES.name(request.role) if request.role else None,
            after_id,
            paging.size(request) + 1,
            identifier=request.identifier,
            include_deleted=request.show_deleted,
        )
        purge_delay = await commands.get_purge_delay(self._database, self._config, rows)
        now = datetime.now(UTC)
        users = [to_message(row, now, purge_delay) for row in rows]
        fits = paging.count_within_bytes(user.ByteSize() for user in users)
        users, next_page_token = paging.page(request, users, lambda user: (user.user_id,), fits)
        return ListUsersResponse(users=users, next_page_token=next_page_token)

    async def BatchGetUsers(self, request: BatchGetUsersRequest, context: Context) -> BatchGetUsersResponse:
        rows = await store.list_names(self._database, [*request.user_ids])
        return BatchGetUsersResponse(users=map(to_user_name, rows))
