"""UserService."""

from chassis import etags
from chassis.calls import Context
from chassis.database import Database
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from identity_service.errors import UserNotFound
from identity_service.users import rules, store
from identity_service.users.store import Profile, UserRow
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.user_service_pb2 import GetUserRequest, UpdateUserRequest, User
from meno.identity.v1.user_service_pb2_grpc import UserServiceServicer

ROLES = Spelling(GlobalRole)


class UserServicer(UserServiceServicer):
    """People."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetUser(self, request: GetUserRequest, context: Context) -> User:
        row = await store.get(self._database, request.user_id)
        if row is None:
            raise UserNotFound(request.user_id)
        return message(row)

    async def UpdateUser(self, request: UpdateUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = await store.locked(transaction, request.user_id)
            if row is None:
                raise UserNotFound(request.user_id)
            etags.check(request.etag, row.version)
            profile = Profile(row.display_name, row.full_name, row.nickname)
            wished = rules.changed(profile, request.user, request.update_mask.paths)
            await store.update_profile(transaction, row.user_id, wished)
            updated = await store.get(transaction, row.user_id)
            assert updated is not None
            return transaction.answer(message(updated))


def message(row: UserRow) -> User:
    """A person as they travel."""
    return User(
        user_id=row.user_id,
        login_name=row.login_name or "",
        email=row.email or "",
        phone=row.phone or "",
        display_name=row.display_name,
        full_name=row.full_name,
        nickname=row.nickname,
        role=ROLES.number(row.role),
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
        etag=etags.etag(row.version),
    )
