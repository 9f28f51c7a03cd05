"""Reports that a user studied. identity_service derives streaks from the reports."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import grpc

from chassis import outbox
from chassis.database import Database
from chassis.idempotency import WriteTransaction, write
from chassis.outbox import MessageHandler, ThrottledOutbox
from meno.identity.v1.user_service_pb2 import RecordActivityRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

KIND = "activity"

# All UTC offsets are multiples of 15 minutes, so that one report per quarter of an hour never misses
# a local day.
_REPORT_INTERVAL = timedelta(minutes=15)


class ActivityReporter:
    """Opens the write transactions of studying users. Each process reports a user once per interval."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._outbox = ThrottledOutbox(KIND, _REPORT_INTERVAL)

    def write(self, user_id: str) -> AbstractAsyncContextManager[WriteTransaction]:
        """Opens the transaction of the current call, as `idempotency.write` does, and reports the user in it."""
        report = {"user_id": user_id, "activity_time": datetime.now(UTC).isoformat()}
        return self._outbox.write_through(write(self._database), user_id, report)


def message_handler(channel: grpc.aio.Channel) -> MessageHandler:
    """Returns the handler that delivers reports to identity_service."""
    return outbox.rpc_handler(UserServiceStub(channel).RecordActivity, RecordActivityRequest)
