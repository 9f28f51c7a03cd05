"""The part of ClassService that is about classes themselves."""

from datetime import UTC, datetime

from chassis import audit, etags, paging
from chassis.calls import Caller, Context, caller
from chassis.database import Database, Executor, Transaction
from chassis.idempotency import write
from identity_service.account_feed import store as accounts
from identity_service.administration.config.config import Config
from identity_service.classes import locking, rules, store
from identity_service.classes.memberships import entering
from identity_service.classes.messages import JOIN_POLICIES, message
from identity_service.classes.store import ClassFields, ClassOfUserRow, ClassRow
from identity_service.errors import ClassNotFound
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.class_service_pb2 import (
    ArchiveClassRequest,
    Class,
    CreateClassRequest,
    DeleteClassRequest,
    GetClassRequest,
    JoinPolicy,
    ListAllClassesRequest,
    ListAllClassesResponse,
    ListClassesRequest,
    ListClassesResponse,
    RotateJoinCodeRequest,
    UnarchiveClassRequest,
    UndeleteClassRequest,
    UpdateClassRequest,
)

_AFTER_ALL = datetime(9999, 12, 31, tzinfo=UTC)


class ClassServicer:
    """Creates classes, shows them, and leads them through their states."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config

    async def CreateClass(self, request: CreateClassRequest, context: Context) -> Class:
        policy = JOIN_POLICIES.text(request.join_policy or JoinPolicy.JOIN_POLICY_OPEN)
        async with write(self._database) as transaction:
            user_id = caller().user_id
            await entering.make_room(transaction, user_id)
            fields = ClassFields(request.title, request.description, policy)
            row = await store.add(transaction, fields, rules.new_join_code())
            await audit.record(transaction, AuditAction.AUDIT_ACTION_CLASS_CREATED, class_id=row.class_id)
            await entering.enter(transaction, row.class_id, user_id, "TEACHER", how="CREATED")
            return transaction.answer(message(row, "TEACHER"))

    async def GetClass(self, request: GetClassRequest, context: Context) -> Class:
        row = await store.get(self._database, request.class_id)
        if row is None:
            raise ClassNotFound(request.class_id)
        return message(row, _role(caller(), row))

    async def ListClasses(self, request: ListClassesRequest, context: Context) -> ListClassesResponse:
        before, before_id = paging.position(request, (_AFTER_ALL, paging.AFTER_ALL_IDS))
        limit = paging.size(request) + 1
        rows = await store.of_user(self._database, request.user_id, before, before_id, limit)
        own = request.user_id == caller().user_id
        # Somebody else's role is not the caller's.
        classes = [message(row.of_class(), row.role if own else _role(caller(), row)) for row in rows]
        fits = paging.fitting(one.ByteSize() for one in classes)
        rows, following = paging.page(request, rows, lambda row: (row.joined_at, row.class_id), fits)
        return ListClassesResponse(classes=classes[: len(rows)], next_page_token=following)

    async def ListAllClasses(
        self, request: ListAllClassesRequest, context: Context
    ) -> ListAllClassesResponse:
        (before_id,) = paging.position(request, (paging.AFTER_ALL_IDS,))
        limit = paging.size(request) + 1
        rows = await store.listed(self._database, before_id, limit, show_deleted=request.show_deleted)
        days = await self._config.value(self._database, rules.PURGE_DAYS)
        classes = [message(row, _role(caller(), row), days) for row in rows]
        fits = paging.fitting(one.ByteSize() for one in classes)
        rows, following = paging.page(request, rows, lambda row: (row.class_id,), fits)
        return ListAllClassesResponse(classes=classes[: len(rows)], next_page_token=following)

    async def UpdateClass(self, request: UpdateClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await locking.in_use(transaction, request.class_id)
            etags.check(request.etag, row.version)
            row = await store.update_fields(transaction, row.class_id, _wished(row, request))
            return transaction.answer(message(row, _role(caller(), row)))

    async def ArchiveClass(self, request: ArchiveClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await locking.present(transaction, request.class_id)
            if row.archived_at is None:
                row = await store.archive(transaction, row.class_id)
                await _tell(transaction, row, AuditAction.AUDIT_ACTION_CLASS_ARCHIVED)
            return transaction.answer(message(row, _role(caller(), row)))

    async def UnarchiveClass(self, request: UnarchiveClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await locking.present(transaction, request.class_id)
            if row.archived_at is not None:
                row = await store.unarchive(transaction, row.class_id)
                await _tell(transaction, row, AuditAction.AUDIT_ACTION_CLASS_UNARCHIVED)
            return transaction.answer(message(row, _role(caller(), row)))

    async def DeleteClass(self, request: DeleteClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await locking.present_or_deleted(transaction, request.class_id)
            if row.deleted_at is None:
                etags.check(request.etag, row.version)
                row = await store.mark_deleted(transaction, row.class_id, caller().user_id)
                await _tell(transaction, row, AuditAction.AUDIT_ACTION_CLASS_DELETED)
            return transaction.answer(await self._with_purge_time(transaction, row))

    async def UndeleteClass(self, request: UndeleteClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await locking.present_or_deleted(transaction, request.class_id)
            if row.deleted_at is not None:
                row = await store.restore(transaction, row.class_id)
                await _tell(transaction, row, AuditAction.AUDIT_ACTION_CLASS_UNDELETED)
            return transaction.answer(message(row, _role(caller(), row)))

    async def RotateJoinCode(self, request: RotateJoinCodeRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await locking.in_use(transaction, request.class_id)
            row = await store.replace_join_code(transaction, row, rules.new_join_code())
            await audit.record(transaction, AuditAction.AUDIT_ACTION_JOIN_CODE_ROTATED, class_id=row.class_id)
            return transaction.answer(message(row, _role(caller(), row)))

    async def _with_purge_time(self, executor: Executor, row: ClassRow) -> Class:
        days = await self._config.value(executor, rules.PURGE_DAYS)
        return message(row, _role(caller(), row), days)


async def _tell(transaction: Transaction, row: ClassRow, action: AuditAction.ValueType) -> None:
    """Tells every service the state that a class is in now, and the audit who led it there."""
    await accounts.change_class(transaction, row.class_id, rules.state(row))
    await audit.record(transaction, action, class_id=row.class_id)


def _role(person: Caller, row: ClassRow | ClassOfUserRow) -> str | None:
    """The caller's own role in a class, as the token tells it."""
    return person.classes.get(row.class_id) or person.archived.get(row.class_id)


def _wished(row: ClassRow, request: UpdateClassRequest) -> ClassFields:
    """What is told of a class after an update: the fields that the request sets, and the others as they are."""
    return ClassFields(
        title=request.title if request.HasField("title") else row.title,
        description=request.description if request.HasField("description") else row.description,
        join_policy=JOIN_POLICIES.text(request.join_policy) if request.join_policy else row.join_policy,
    )
