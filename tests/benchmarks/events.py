"""What one more event costs: late in a session's life, against early.

Both kinds are appended in turn over gRPC, in one run; medians count.
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
AT_ONCE = 10
YOUNG_SESSIONS = 100
"""So many that each stays young while it is measured."""


def measure() -> list[Row]:
    """The row of an event late in a session."""
    with databases.migrated("session_service") as url:
        early, late = uvloop.run(_costs(url))
    return [Row(LATE_EVENT, 1000 * late, "ms", 1000 * early, late / early)]


class Learner:
    """Somebody who appends one event at a time, and is timed."""

    def __init__(self, env: TestEnvironment, channel: Any) -> None:
        self._user_id = str(uuid.uuid4())
        self._auth = bearer(env.issuer.token(self._user_id))
        self._sessions = SessionServiceStub(channel)
        self._events = EventServiceStub(channel)

    async def begin(self, events: int) -> str:
        """Begins a session and gives it so many events; returns its id."""
        request = CreateSessionRequest(user_id=self._user_id)
        session: str = (await self._sessions.CreateSession(request, **self._auth)).session_id
        for place in range(0, events, AT_ONCE):
            await self.append(session, min(AT_ONCE, events - place))
        return session

    async def append(self, session_id: str, events: int = 1) -> float:
        """Appends events; returns the seconds that it took."""
        request = AppendEventsRequest(user_id=self._user_id, session_id=session_id)
        for _ in range(events):
            event = request.events.add(client_event_id=str(uuid.uuid4()), kind=EVENT_KIND_CHECK, step=1)
            event.payload.update({"question": "What is a half of a half?", "correct": True})
        began = time.perf_counter()
        await self._events.AppendEvents(request, **self._auth)
        return time.perf_counter() - began


async def _costs(url: str) -> tuple[float, float]:
    """Median seconds of an event early and late in a session."""
    async with _learner(url) as learner:
        old = await learner.begin(LATE - ROUNDS // 2)
        young = [await learner.begin(EARLY - 1) for _ in range(YOUNG_SESSIONS)]
        costs: dict[str, list[float]] = {"young": [], "old": []}
        for number in range(ROUNDS):
            turns = [("young", young[number % YOUNG_SESSIONS]), ("old", old)]
            for kind, session_id in turns if number % 2 else reversed(turns):
                costs[kind].append(await learner.append(session_id))
    return statistics.median(costs["young"]), statistics.median(costs["old"])


@asynccontextmanager
async def _learner(url: str) -> AsyncIterator[Learner]:
    """A learner of a service that runs on a database."""
    with tempfile.TemporaryDirectory(prefix="meno-benchmark-") as directory:
        env = TestEnvironment(Path(directory))
        settings = Settings(
            database_url=url,
            secret="a secret of this benchmark, long enough",
            tls_directory=env.credentials("session_service").directory,
        )
        async with (
            env.identity_client() as authority,
            build_app(authority, settings) as app,
            env.serve(app, "session_service") as served,
        ):
            yield Learner(env, served.channel())
