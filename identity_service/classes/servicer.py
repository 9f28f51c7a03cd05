"""The RPCs of ClassService that create, read and change classes."""

from chassis import paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service.administration.config.reader import ConfigReader
from identity_service.classes import commands, rules, store
from identity_service.classes.messages import to_changes, to_fields, to_message
from identity_service.classes.types import ClassRow
from identity_service.errors import ClassNotFound
from meno.identity.v1.class_service_pb2 import (
    ArchiveClassRequest,
    CreateClassRequest,
    DeleteClassRequest,
    GetClassRequest,
    ListAllClassesRequest,
    ListAllClassesResponse,
    ListClassesRequest,
    ListClassesResponse,
    RotateJoinCodeRequest,
    UnarchiveClassRequest,
    UndeleteClassRequest,
    UpdateClassRequest,
)
from meno.identity.v1.resources_pb2 import Class


class ClassServicer:
    """Handles the RPCs about classes."""

    def __init__(self, database: Database, config: ConfigReader) -> None:
        self._database = database
        self._config = config

    async def CreateClass(self, request: CreateClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await commands.create_class(transaction, to_fields(request), caller().user_id)
            return transaction.respond(to_message(row, "TEACHER"))

    async def GetClass(self, request: GetClassRequest, context: Context) -> Class:
        row = await store.get(self._database, request.class_id)
        if row is None:
            raise ClassNotFound(request.class_id)
        return _to_message_for_caller(row)

    async def ListClasses(self, request: ListClassesRequest, context: Context) -> ListClassesResponse:
        start = paging.decode_page_token(request, (paging.MAX_TIMESTAMP, paging.MAX_UUID))
        rows = await store.list_by_user(self._database, request.user_id, start, paging.size(request) + 1)
        own = request.user_id == caller().user_id
        # `my_role` is the role of the caller, who may be an administrator.
        classes = [
            to_message(row.to_class(), row.role if own else caller().role_in(row.class_id)) for row in rows
        ]
        fits = paging.count_within_bytes(one.ByteSize() for one in classes)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.joined_at, row.class_id), fits)
        return ListClassesResponse(classes=classes[: len(rows)], next_page_token=next_page_token)

    async def ListAllClasses(
        self, request: ListAllClassesRequest, context: Context
    ) -> ListAllClassesResponse:
        (before_id,) = paging.decode_page_token(request, (paging.MAX_UUID,))
        limit = paging.size(request) + 1
        rows = await store.list_all(self._database, before_id, limit, show_deleted=request.show_deleted)
        days = await self._config.value(self._database, rules.PURGE_DAYS)
        classes = [_to_message_for_caller(row, days) for row in rows]
        fits = paging.count_within_bytes(one.ByteSize() for one in classes)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.class_id,), fits)
        return ListAllClassesResponse(classes=classes[: len(rows)], next_page_token=next_page_token)

    async def UpdateClass(self, request: UpdateClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            changes = to_changes(request)
            row = await commands.update_class(transaction, request.class_id, changes, request.etag)
            return transaction.respond(_to_message_for_caller(row))

    async def ArchiveClass(self, request: ArchiveClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await commands.archive_class(transaction, request.class_id)
            return transaction.respond(_to_message_for_caller(row))

    async def UnarchiveClass(self, request: UnarchiveClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await commands.unarchive_class(transaction, request.class_id)
            return transaction.respond(_to_message_for_caller(row))

    async def DeleteClass(self, request: DeleteClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            by_user_id = caller().user_id
            row = await commands.delete_class(transaction, request.class_id, request.etag, by_user_id)
            days = await self._config.value(transaction, rules.PURGE_DAYS)
            return transaction.respond(_to_message_for_caller(row, days))

    async def UndeleteClass(self, request: UndeleteClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await commands.undelete_class(transaction, request.class_id)
            return transaction.respond(_to_message_for_caller(row))

    async def RotateJoinCode(self, request: RotateJoinCodeRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            row = await commands.rotate_join_code(transaction, request.class_id)
            return transaction.respond(_to_message_for_caller(row))


def _to_message_for_caller(row: ClassRow, purge_days: int = 0) -> Class:
    """Returns the class of a row, as the caller sees it."""
    return to_message(row, caller().role_in(row.class_id), purge_days)
