"""Handlers of AuthService for existing sign-ins."""

from google.protobuf.empty_pb2 import Empty

from chassis import paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service.sign_in.sign_ins import commands, messages, store
from meno.identity.v1.auth_service_pb2 import (
    ListSignInsRequest,
    ListSignInsResponse,
    SignOutEverywhereRequest,
    SignOutRequest,
)


class SignInServicer:
    """Lists and ends sign-ins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def SignOut(self, request: SignOutRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await commands.end(transaction, request.user_id, request.sign_in_id or caller().sign_in_id)
            return transaction.respond(Empty())

    async def SignOutEverywhere(self, request: SignOutEverywhereRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await commands.sign_out_everywhere(transaction, request.user_id)
            return transaction.respond(Empty())

    async def ListSignIns(self, request: ListSignInsRequest, context: Context) -> ListSignInsResponse:
        (before,) = paging.decode_page_token(request, (paging.MAX_UUID,))
        rows = await store.list_by_user(self._database, request.user_id, before, paging.size(request) + 1)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.sign_in_id,))
        current_id = caller().sign_in_id
        return ListSignInsResponse(
            sign_ins=[messages.to_message(row, current_id) for row in rows], next_page_token=next_page_token
        )
