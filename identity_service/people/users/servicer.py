"""The part of UserService that is about who people are."""

from datetime import UTC, datetime, timedelta

from chassis import etags, paging
from chassis.calls import Context, caller
from chassis.database import Database, Executor, Transaction
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from identity_service.administration.config.config import Config
from identity_service.errors import UserNotFound
from identity_service.people.activity import rules as activity
from identity_service.people.preferences import changing
from identity_service.people.users import creation, rules, store
from identity_service.people.users.creation import NewAccount
from identity_service.people.users.store import Profile, UserRow
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.user_service_pb2 import (
    USER_STATE_ACTIVE,
    USER_STATE_DEACTIVATED,
    USER_STATE_DELETED,
    BatchGetUsersRequest,
    BatchGetUsersResponse,
    CompleteOnboardingRequest,
    CreateUserRequest,
    GetUserRequest,
    ListUsersRequest,
    ListUsersResponse,
    UpdateUserRequest,
    User,
    UserState,
)

ROLES = Spelling(GlobalRole)


class UserServicer:
    """Shows people, changes their profiles, and makes accounts for others."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config

    async def GetUser(self, request: GetUserRequest, context: Context) -> User:
        row = await store.get(self._database, request.user_id, deleted=caller().role == "ADMIN")
        if row is None:
            raise UserNotFound(request.user_id)
        return await shown(self._database, self._config, row)

    async def UpdateUser(self, request: UpdateUserRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = await _locked(transaction, request.user_id)
            etags.check(request.etag, row.version)
            wished = rules.changed(_profile(row), request.user, request.update_mask.paths)
            await store.update_profile(transaction, row.user_id, wished)
            return transaction.answer(message(await _reread(transaction, row.user_id)))

    async def CompleteOnboarding(self, request: CompleteOnboardingRequest, context: Context) -> User:
        async with write(self._database) as transaction:
            row = await _locked(transaction, request.user_id)
            await store.update_profile(transaction, row.user_id, rules.onboarded(_profile(row), request))
            if request.time_zone:
                await changing.move(transaction, row.user_id, request.time_zone)
            return transaction.answer(message(await _reread(transaction, row.user_id)))

    async def CreateUser(self, request: CreateUserRequest, context: Context) -> User:
        rules.check_visible("display_name", request.display_name)
        account = NewAccount(
            display_name=request.display_name.strip(),
            role=ROLES.text(request.role),
            login_name=request.login_name,
            email=request.email,
            phone=request.phone,
        )
        async with write(self._database) as transaction:
            user_id = await creation.create(transaction, account)
            return transaction.answer(message(await _reread(transaction, user_id)))

    async def ListUsers(self, request: ListUsersRequest, context: Context) -> ListUsersResponse:
        role = ROLES.text(request.role) if request.role else None
        if request.identifier:
            rows = await self._identified(request.identifier, role, deleted=request.show_deleted)
        else:
            (after_id,) = paging.position(request, (paging.BEFORE_ALL_IDS,))
            limit = paging.size(request) + 1
            rows = await store.page(self._database, role, after_id, limit, deleted=request.show_deleted)
        kept_for = await purge_after(self._database, self._config, *rows)
        users = [message(row, kept_for) for row in rows]
        fits = paging.fitting(user.ByteSize() for user in users)
        users, following = paging.page(request, users, lambda user: (user.user_id,), fits)
        return ListUsersResponse(users=users, next_page_token=following)

    async def BatchGetUsers(self, request: BatchGetUsersRequest, context: Context) -> BatchGetUsersResponse:
        rows = await store.names(self._database, [*request.user_ids])
        names = [BatchGetUsersResponse.UserName(**row._asdict()) for row in rows]
        return BatchGetUsersResponse(users=names)

    async def _identified(self, identifier: str, role: str | None, *, deleted: bool) -> list[UserRow]:
        user_id = await store.by_identifier(self._database, rules.canonical(identifier))
        row = await store.get(self._database, user_id, deleted=deleted) if user_id else None
        return [row] if row is not None and role in (None, row.role) else []


async def shown(executor: Executor, config: Config, row: UserRow) -> User:
    """A person as they travel; of one who is deleted, with the time of their erasure."""
    return message(row, await purge_after(executor, config, row))


async def purge_after(executor: Executor, config: Config, *rows: UserRow) -> timedelta | None:
    """How long the deleted among these people are kept; None where nobody is deleted."""
    if all(row.deleted_at is None for row in rows):
        return None
    return timedelta(days=await config.value(executor, "user_purge_days"))


def message(row: UserRow, kept_for: timedelta | None = None) -> User:
    """A person as they travel; `kept_for` is how long a deleted one is kept."""
    return User(
        user_id=row.user_id,
        login_name=row.identifier("LOGIN_NAME"),
        email=row.identifier("EMAIL"),
        phone=row.identifier("PHONE"),
        display_name=row.display_name,
        full_name=row.full_name,
        nickname=row.nickname,
        role=ROLES.number(row.role),
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
        etag=etags.etag(row.version),
        age=row.age or 0,
        grade=row.grade or 0,
        board=row.board,
        school_name=row.school_name,
        about_me=row.about_me,
        onboarding_complete=row.onboarding_complete,
        xp=row.xp,
        level=row.level,
        streak_days=_streak(row),
        last_active_time=timestamp(row.last_active_at),
        last_sign_in_time=timestamp(row.last_sign_in_at),
        guest=row.guest,
        state=_state(row),
        email_proven=row.has_proven("EMAIL"),
        phone_proven=row.has_proven("PHONE"),
        identity_issuers=row.identity_issuers,
        delete_time=timestamp(row.deleted_at),
        purge_time=timestamp(row.deleted_at + kept_for) if row.deleted_at and kept_for else None,
    )


def _streak(row: UserRow) -> int:
    if row.streak_day is None:
        return 0
    clocks = (row.streak_zone, row.time_zone)
    return activity.shown(row.streak, row.streak_day, clocks, datetime.now(UTC))


def _state(row: UserRow) -> UserState.ValueType:
    if row.deleted_at is not None:
        return USER_STATE_DELETED
    return USER_STATE_ACTIVE if row.deactivated_at is None else USER_STATE_DEACTIVATED


def _profile(row: UserRow) -> Profile:
    return Profile(*(getattr(row, name) for name in Profile._fields))


async def _locked(transaction: Transaction, user_id: str) -> UserRow:
    row = await store.locked(transaction, user_id)
    if row is None:
        raise UserNotFound(user_id)
    return row


async def _reread(transaction: Transaction, user_id: str) -> UserRow:
    row = await store.get(transaction, user_id)
    assert row is not None
    return row
