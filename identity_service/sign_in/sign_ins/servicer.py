"""The part of AuthService that is about sign-ins which exist."""

from google.protobuf.empty_pb2 import Empty

from chassis import audit, paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from chassis.wire import timestamp
from identity_service.sign_in.sign_ins import ending, store
from identity_service.sign_in.sign_ins.store import SignInRow
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import (
    ListSignInsRequest,
    ListSignInsResponse,
    SignIn,
    SignOutEverywhereRequest,
    SignOutRequest,
)


class SignInServicer:
    """Shows sign-ins, and ends them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def SignOut(self, request: SignOutRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await ending.end(transaction, request.user_id, request.sign_in_id or caller().sign_in_id)
            return transaction.answer(Empty())

    async def SignOutEverywhere(self, request: SignOutEverywhereRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            if await ending.end_all(transaction, request.user_id):
                action = AuditAction.AUDIT_ACTION_SIGNED_OUT_EVERYWHERE
                await audit.record(transaction, action, user_id=request.user_id)
            return transaction.answer(Empty())

    async def ListSignIns(self, request: ListSignInsRequest, context: Context) -> ListSignInsResponse:
        (before,) = paging.position(request, (paging.AFTER_ALL_IDS,))
        rows = await store.page(self._database, request.user_id, before, paging.size(request) + 1)
        rows, following = paging.page(request, rows, lambda row: (row.sign_in_id,))
        return ListSignInsResponse(sign_ins=map(_message, rows), next_page_token=following)


def _message(row: SignInRow) -> SignIn:
    return SignIn(
        sign_in_id=row.sign_in_id,
        current=row.sign_in_id == caller().sign_in_id,
        create_time=timestamp(row.created_at),
        refresh_time=timestamp(row.rotated_at or row.created_at),
        expire_time=timestamp(row.expires_at),
    )
