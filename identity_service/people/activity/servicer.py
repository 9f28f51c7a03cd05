"""The RPC of UserService for activity."""

from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty

from chassis.calls import Context
from chassis.database import Database
from chassis.idempotency import write
from identity_service.people.activity import commands, rules
from meno.identity.v1.user_service_pb2 import RecordActivityRequest


class ActivityServicer:
    """Records when users study."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def RecordActivity(self, request: RecordActivityRequest, context: Context) -> Empty:
        seconds = request.activity_time.seconds + request.activity_time.nanos / 1e9
        moment = rules.clamp_time(seconds, datetime.now(UTC))
        async with write(self._database) as transaction:
            if moment is not None:
                await commands.record_activity(transaction, request.user_id, moment)
            return transaction.respond(Empty())
