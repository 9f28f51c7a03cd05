"""The part of UserService that is about activity."""

from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty

from chassis.calls import Context
from chassis.database import Database, Transaction
from chassis.idempotency import write
from identity_service.people.activity import rules, store
from identity_service.people.preferences import changing
from identity_service.people.preferences import store as preferences
from identity_service.people.users import store as users
from meno.identity.v1.user_service_pb2 import RecordActivityRequest


class ActivityServicer:
    """Notes when people study."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def RecordActivity(self, request: RecordActivityRequest, context: Context) -> Empty:
        seconds = request.activity_time.seconds + request.activity_time.nanos / 1e9
        moment = rules.believed(seconds, datetime.now(UTC))
        async with write(self._database) as transaction:
            if moment is not None and (heir := await users.locked_heir(transaction, request.user_id)):
                await _note(transaction, heir.user_id, moment)
            return transaction.answer(Empty())


async def _note(transaction: Transaction, user_id: str, moment: datetime) -> None:
    settings = await preferences.get(transaction, user_id)
    assert settings is not None
    known = await store.from_day(transaction, user_id, (moment - rules.REACH).date())
    days = rules.noted(known, moment, changing.chosen(settings).time_zone)
    await store.put(transaction, user_id, [day for day in days if day not in {*known}])
    await store.mirror(transaction, user_id, days[-1])
