"""Tells that people study, for their streaks, which identity_service keeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
from google.protobuf.json_format import ParseDict

from chassis import outbox
from chassis.database import Database
from chassis.idempotency import WriteTransaction, write
from chassis.outbox import Deliver, Fact
from meno.identity.v1.user_service_pb2 import RecordActivityRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

KIND = "activity"

# Wherever people live, a day of theirs begins with a quarter of an hour.
_QUARTER = 15 * 60
_TIMEOUT = 5.0


class Activity:
    """The writes by which people study. Of each person a process tells once a quarter of an hour."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._quarter = 0
        self._told: set[str] = set()

    @asynccontextmanager
    async def write(self, user_id: str) -> AsyncIterator[WriteTransaction]:
        """Opens the transaction of the current call's effect, as every write does, and tells of it."""
        now = datetime.now(UTC)
        told = self._told_since(int(now.timestamp() // _QUARTER))
        async with write(self._database) as transaction:
            yield transaction
            if user_id not in told:
                fact = {"user_id": user_id, "activity_time": now.isoformat()}
                await outbox.put(transaction, KIND, fact)
        # Only now is it sure that it is told.
        told.add(user_id)

    def _told_since(self, quarter: int) -> set[str]:
        if quarter != self._quarter:
            self._quarter, self._told = quarter, set()
        return self._told


def deliver(channel: grpc.aio.Channel) -> Deliver:
    """Hands the facts to the service that counts the days."""
    users = UserServiceStub(channel)

    async def record(fact: Fact) -> None:
        request = ParseDict(fact.body, RecordActivityRequest(request_id=fact.fact_id))
        await users.RecordActivity(request, timeout=_TIMEOUT)

    return outbox.each(record)
