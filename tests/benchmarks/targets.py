"""Starts the targets of the read path: session_service and a peer that read one table.

Every target must return the right session before it is measured.
"""

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import grpc
import psycopg

from meno.session.v1.resources_pb2 import Session
from meno.session.v1.session_service_pb2 import GetSessionRequest
from tests.benchmarks import databases
from tests.benchmarks.load import Target
from tests.benchmarks.peer_process import TIMEOUT_SECONDS, forge, frame, get, peer, process
from tests.benchmarks.report import Progress

RPC = "/meno.session.v1.SessionService/GetSession"
SESSIONS = 10_000
"""The number of rows in the table. A hundred of them belong to the learner that calls."""

T = TypeVar("T")


class Targets(NamedTuple, Generic[T]):
    """One value for each target."""

    gateway: T
    direct: T
    empty_gateway: T
    empty_direct: T
    peer: T


class Learner(NamedTuple):
    """The caller and the session to read."""

    user_id: str
    session_id: str


@contextmanager
def targets(progress: Progress) -> Iterator[Targets[tuple[Target, int]]]:
    """Starts all servers and yields each target with the id of the process that responds."""
    with (
        databases.migrated("session_service") as url,
        tempfile.TemporaryDirectory(prefix="meno-benchmark-") as directory,
    ):
        learner = _insert_sessions(url)
        progress("starting servers and gateways")
        arguments = [sys.executable, "-m", "tests.benchmarks.session_server", directory, url, learner.user_id]
        with process(arguments, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            info = json.loads(server.stdout.readline())
            with peer("sessions", url, info["key_set"]) as (peer_url, peer_pid):
                gateway, direct, empty_gateway, empty_direct = (
                    (target, info["pid"]) for target in _meno_targets(info, learner)
                )
                peer_target = (_peer_target(peer_url, info["token"], learner), peer_pid)
                yield Targets(gateway, direct, empty_gateway, empty_direct, peer_target)


def _insert_sessions(url: str) -> Learner:
    """Inserts the sessions and returns one learner with one session."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO sessions (user_id, session_id, mode, goal, lesson_title)"
            " SELECT ('00000000-0000-4000-8000-' || lpad((n %% 100)::text, 12, '0'))::uuid,"
            "   gen_random_uuid(), 'teach_me',"
            "   jsonb_build_object('text', 'Pass the exam in June', 'exam_type', 'final'),"
            "   'Fractions, lesson ' || n"
            " FROM generate_series(1, %s) AS n",
            [SESSIONS],
        )
        connection.execute("VACUUM ANALYZE sessions")
        row = connection.execute("SELECT user_id, session_id FROM sessions OFFSET 5000 LIMIT 1").fetchone()
        assert row is not None
        return Learner(*map(str, row))


def _meno_targets(info: Mapping[str, Any], learner: Learner) -> Iterator[Target]:
    """Yields GetSession through the gateway and directly, then the same for the empty handler."""
    headers = {
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {info['token']}",
    }
    message = GetSessionRequest(user_id=learner.user_id, session_id=learner.session_id).SerializeToString()
    for kind, session_id in (("service", learner.session_id), ("empty", "")):
        response = _call(info[kind]["gateway"], headers["authorization"], message)
        assert Session.FromString(response).session_id == session_id, "the response is another session"
        for path in ("gateway", "direct"):
            yield Target(info[kind][path] + RPC, headers, frame(message), len(frame(response)))


def _peer_target(url: str, token: str, learner: Learner) -> Target:
    """Returns the same read of the peer, which must reject other users and forged tokens."""
    path = f"{url}/v1/users/{learner.user_id}/sessions/{learner.session_id}"
    headers = {"authorization": f"Bearer {token}"}
    status, body = get(path, headers)
    assert status == 200, f"the peer returned {status}"
    assert json.loads(body)["session_id"] == learner.session_id, "the response of the peer is another session"
    other_user = path.replace(learner.user_id, str(uuid.uuid4()))
    assert get(other_user, headers)[0] == 403, "the peer admits another user"
    assert get(path, {"authorization": f"Bearer {forge(token)}"})[0] == 401, (
        "the peer does not verify signatures"
    )
    return Target(path, headers, None, len(body))


def _call(address: str, authorization: str, message: bytes) -> bytes:
    with grpc.insecure_channel(address.removeprefix("http://")) as channel:
        rpc: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(RPC)
        return rpc(message, metadata=(("authorization", authorization),), timeout=TIMEOUT_SECONDS)
