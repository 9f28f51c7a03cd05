"""Measures the cost of a large token, and the time until every service rejects a revoked token."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import psycopg

from chassis.testing import parse_error
from deploy.stack.layout import Layout
from deploy.stack.postgres import SUPERUSER, Postgres
from meno.access.v1.access_pb2 import GlobalRole
from meno.chat.v1.chat_service_pb2 import ListChatsRequest
from meno.content.v1.content_service_pb2 import ListContentsRequest
from meno.identity.v1.auth_service_pb2 import SignOutEverywhereRequest
from meno.identity.v1.class_service_pb2 import CreateClassRequest
from meno.identity.v1.user_service_pb2 import GetUserRequest
from meno.session.v1.session_service_pb2 import ListSessionsRequest
from tests.benchmarks.report import Progress, Row
from tests.benchmarks.thresholds import LARGE_TOKEN, REVOCATION
from tests.people import Person

CLASSES = 200
CALLS = 300
REVOCATIONS = 10

_INSERT_CLASSES = """
WITH new_classes AS (
    INSERT INTO classes (title, join_code)
    SELECT 'Class ' || n, %(user_id)s::text || n FROM generate_series(2, %(classes)s) n
    RETURNING class_id
), member AS (
    INSERT INTO class_memberships (class_id, user_id, role)
    SELECT class_id, %(user_id)s::uuid, 'TEACHER' FROM new_classes
)
INSERT INTO user_classes (class_id, user_id, role) SELECT class_id, %(user_id)s::uuid, 'TEACHER' FROM new_classes
"""


async def measure(layout: Layout, progress: Progress) -> list[Row]:
    """Returns the rows of a running stack."""
    async with grpc.aio.insecure_channel(
        f"localhost:{layout.port}", [("grpc.max_metadata_size", 32 * 1024)]
    ) as channel:
        progress(f"a token of {CLASSES} classes")
        large = await _large_token(layout, channel)
        progress("revoking tokens")
        return [large, await _revocation(channel)]


async def _large_token(layout: Layout, channel: grpc.aio.Channel) -> Row:
    plain, teacher = await _create_teacher(channel), await _create_teacher(channel)
    created_class = await teacher.classes.CreateClass(CreateClassRequest(title="One"), **teacher.auth)
    user_id = teacher.tokens.user.user_id
    url = Postgres(layout.directory).url("identity", SUPERUSER)
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(_INSERT_CLASSES.encode(), {"user_id": user_id, "classes": CLASSES})
    await teacher.refresh()
    for call in _reads_of_every_service(teacher, created_class.class_id):
        await call()
    costs: dict[str, list[float]] = {"plain": [], "large": []}
    for _ in range(CALLS):
        for name, person in (("plain", plain), ("large", teacher)):
            started = time.perf_counter()
            await person.users.GetUser(GetUserRequest(user_id="me"), **person.auth)
            costs[name].append(time.perf_counter() - started)
    small, large = (statistics.median(costs[name]) for name in ("plain", "large"))
    return Row(LARGE_TOKEN, 1000 * large, "ms", 1000 * small, large / small)


async def _revocation(channel: grpc.aio.Channel) -> Row:
    seconds = []
    for _ in range(REVOCATIONS):
        person = await _create_teacher(channel)
        created_class = await person.classes.CreateClass(CreateClassRequest(title="One"), **person.auth)
        await person.refresh()
        calls = _reads_of_every_service(person, created_class.class_id)
        for call in calls:
            await call()
        await person.sign_in.SignOutEverywhere(SignOutEverywhereRequest(user_id="me"), **person.auth)
        revoked = time.perf_counter()
        await asyncio.gather(*map(_wait_until_rejected, calls))
        seconds.append(time.perf_counter() - revoked)
    return Row(
        REVOCATION, max(seconds), "s", statistics.median(seconds), max(seconds) / statistics.median(seconds)
    )


def _reads_of_every_service(person: Person, class_id: str) -> list[Callable[[], Awaitable[Any]]]:
    """Returns one read of each service."""
    return [
        lambda: person.users.GetUser(GetUserRequest(user_id="me"), **person.auth),
        lambda: person.contents.ListContents(ListContentsRequest(class_id=class_id), **person.auth),
        lambda: person.sessions.ListSessions(ListSessionsRequest(user_id="me"), **person.auth),
        lambda: person.chats.ListChats(ListChatsRequest(user_id="me"), **person.auth),
    ]


async def _wait_until_rejected(call: Callable[[], Awaitable[Any]]) -> None:
    """Returns when the call is rejected because the token is revoked."""
    while True:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            if parse_error(error).reason != "TOKEN_REVOKED":
                raise
            return


async def _create_teacher(channel: grpc.aio.Channel) -> Person:
    return await Person.sign_up(channel, "Teacher", GlobalRole.GLOBAL_ROLE_TEACHER)
