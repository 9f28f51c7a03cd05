"""Measures the cost of event 10,000 of a session compared with event 10.

Both are appended alternately over gRPC in one run. The figures are medians.
"""

import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from chassis.testing import TestEnvironment, bearer
from meno.session.v1.event_service_pb2 import AppendEventsRequest
from meno.session.v1.event_service_pb2_grpc import EventServiceStub
from meno.session.v1.resources_pb2 import EVENT_KIND_CHECK
from meno.session.v1.session_service_pb2 import CreateSessionRequest
from meno.session.v1.session_service_pb2_grpc import SessionServiceStub
from session_service.app import build_app
from session_service.settings import Settings
from tests.benchmarks import databases
from tests.benchmarks.report import Row
from tests.benchmarks.thresholds import LATE_EVENT

EARLY = 10
LATE = 10_000
ROUNDS = 400
BATCH = 10
SHORT_SESSIONS = 100
"""So many sessions that each has few events during the measurement."""


def measure() -> list[Row]:
    """Returns the row of AppendEvents."""
    with databases.migrated("session_service") as url:
        early, late = uvloop.run(_costs(url))
    return [Row(LATE_EVENT, 1000 * late, "ms", 1000 * early, late / early)]


class Learner:
    """A learner who appends events, with the time that each call takes."""

    def __init__(self, env: TestEnvironment, channel: Any) -> None:
        self._user_id = str(uuid.uuid4())
        self._auth = bearer(env.issuer.token(self._user_id))
        self._sessions = SessionServiceStub(channel)
        self._events = EventServiceStub(channel)

    async def create_session(self, events: int) -> str:
        """Creates a session with this number of events and returns its id."""
        request = CreateSessionRequest(user_id=self._user_id)
        session: str = (await self._sessions.CreateSession(request, **self._auth)).session_id
        for start in range(0, events, BATCH):
            await self.append(session, min(BATCH, events - start))
        return session

    async def append(self, session_id: str, events: int = 1) -> float:
        """Appends events in one call and returns its duration in seconds."""
        request = AppendEventsRequest(user_id=self._user_id, session_id=session_id)
        for _ in range(events):
            event = request.events.add(client_event_id=str(uuid.uuid4()), kind=EVENT_KIND_CHECK, step=1)
            event.payload.update({"question": "What is a half of a half?", "correct": True})
        started = time.perf_counter()
        await self._events.AppendEvents(request, **self._auth)
        return time.perf_counter() - started


async def _costs(url: str) -> tuple[float, float]:
    """Returns the median seconds of an early and of a late event of a session."""
    async with _learner(url) as learner:
        long_session = await learner.create_session(LATE - ROUNDS // 2)
        short_sessions = [await learner.create_session(EARLY - 1) for _ in range(SHORT_SESSIONS)]
        costs: dict[str, list[float]] = {"early": [], "late": []}
        for number in range(ROUNDS):
            calls = [("early", short_sessions[number % SHORT_SESSIONS]), ("late", long_session)]
            for kind, session_id in calls if number % 2 else reversed(calls):
                costs[kind].append(await learner.append(session_id))
    return statistics.median(costs["early"]), statistics.median(costs["late"])


@asynccontextmanager
async def _learner(url: str) -> AsyncIterator[Learner]:
    """Runs session_service on a database and yields a learner."""
    with tempfile.TemporaryDirectory(prefix="meno-benchmark-") as directory:
        env = TestEnvironment(Path(directory))
        settings = Settings(
            database_url=url,
            secret="a secret of this benchmark, long enough",
            tls_directory=env.credentials("session_service").directory,
        )
        async with (
            env.identity_client() as identity_client,
            build_app(identity_client, settings) as app,
            env.serve(app, "session_service") as running,
        ):
            yield Learner(env, running.channel())
