"""The RPCs of UserService and AccountFeedService about erasures."""

from google.protobuf.empty_pb2 import Empty

from chassis import calls
from chassis.calls import Context
from chassis.database import Database
from chassis.idempotency import write
from identity_service import reauthentication
from identity_service.lifecycle.erasures import commands, store
from identity_service.lifecycle.erasures.messages import to_message
from meno.access.v1.account_feed_service_pb2 import ReportErasureRequest
from meno.identity.v1.resources_pb2 import Erasure
from meno.identity.v1.user_service_pb2 import EraseUserRequest, GetErasureRequest


class ErasureServicer:
    """Handles the RPCs of UserService about erasures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def EraseUser(self, request: EraseUserRequest, context: Context) -> Erasure:
        async with write(self._database) as transaction:
            await reauthentication.check_except_guests(transaction, calls.caller())
            erasure = await commands.erase_user(transaction, request.user_id)
            return transaction.respond(to_message(erasure))

    async def GetErasure(self, request: GetErasureRequest, context: Context) -> Erasure:
        return to_message(await commands.get_erasure(self._database, request.user_id))


class ErasureReportServicer:
    """Handles the RPC of AccountFeedService by which the other services report an erasure."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ReportErasure(self, request: ReportErasureRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            service = calls.peer(context) or ""
            await store.add_receipt(transaction, request.user_id, service, request.rows)
            return transaction.respond(Empty())
