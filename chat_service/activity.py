"""Tells that people study, for their streaks, which identity_service keeps."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import grpc

from chassis import outbox
from chassis.database import Database
from chassis.idempotency import WriteTransaction, write
from chassis.outbox import Deliver, Sparing
from meno.identity.v1.user_service_pb2 import RecordActivityRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

KIND = "activity"

# Wherever people live, a day of theirs begins with a quarter of an hour.
_EVERY = timedelta(minutes=15)


class Activity:
    """The writes by which people study. Of each person a process tells once a quarter of an hour."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told = Sparing(KIND, _EVERY)

    def write(self, user_id: str) -> AbstractAsyncContextManager[WriteTransaction]:
        """Opens the transaction of the current call's effect, as every write does, and tells of it."""
        fact = {"user_id": user_id, "activity_time": datetime.now(UTC).isoformat()}
        return self._told.along(write(self._database), user_id, fact)


def deliver(channel: grpc.aio.Channel) -> Deliver:
    """Hands the facts to the service that counts the days."""
    return outbox.requests(UserServiceStub(channel).RecordActivity, RecordActivityRequest)
