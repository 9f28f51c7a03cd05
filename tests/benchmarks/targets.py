"""What the read path is loaded on: ours and a peer over one table, each seen to answer rightly."""

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
from tests.benchmarks.peering import PATIENCE, framed, get, peer, process
from tests.benchmarks.report import Say

RPC = "/meno.session.v1.SessionService/GetSession"
SESSIONS = 10_000
"""In the table; a hundred are the learner's who calls."""

One = TypeVar("One")


class Targets(NamedTuple, Generic[One]):
    """One of something for each target."""

    through: One
    direct: One
    empty_through: One
    empty_direct: One
    peer: One


class Learner(NamedTuple):
    """Who calls, and for what."""

    user_id: str
    session_id: str


@contextmanager
def targets(say: Say) -> Iterator[Targets[tuple[Target, int]]]:
    """Starts everything; yields each target, and the id of the process that answers there."""
    with (
        databases.migrated("session_service") as url,
        tempfile.TemporaryDirectory(prefix="meno-benchmark-") as directory,
    ):
        learner = _fill(url)
        say("starting servers and gateways")
        arguments = [sys.executable, "-m", "tests.benchmarks.serving", directory, url, learner.user_id]
        with process(arguments, stdout=subprocess.PIPE) as ours:
            assert ours.stdout is not None
            serving = json.loads(ours.stdout.readline())
            with peer("sessions", url, serving["key_set"]) as (peer_url, peer_pid):
                through, direct, empty_through, empty_direct = (
                    (target, serving["pid"]) for target in _ours(serving, learner)
                )
                peers = (_peers(peer_url, serving["token"], learner), peer_pid)
                yield Targets(through, direct, empty_through, empty_direct, peers)


def _fill(url: str) -> Learner:
    """Fills the table; returns one learner and a session of theirs."""
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


def _ours(serving: Mapping[str, Any], learner: Learner) -> Iterator[Target]:
    """GetSession through and direct, and where it does nothing."""
    headers = {
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {serving['token']}",
    }
    message = GetSessionRequest(user_id=learner.user_id, session_id=learner.session_id).SerializeToString()
    for kind, session_id in (("service", learner.session_id), ("empty", "")):
        answer = _answer(serving[kind]["through"], headers["authorization"], message)
        assert Session.FromString(answer).session_id == session_id, "the answer is another session"
        for way in ("through", "direct"):
            yield Target(serving[kind][way] + RPC, headers, framed(message), len(framed(answer)))


def _peers(url: str, token: str, learner: Learner) -> Target:
    """The same of the peer, who lets in nobody else."""
    path = f"{url}/v1/users/{learner.user_id}/sessions/{learner.session_id}"
    headers = {"authorization": f"Bearer {token}"}
    status, body = get(path, headers)
    assert status == 200, "the peer does not answer"
    assert json.loads(body)["session_id"] == learner.session_id, "the peer's answer is another session"
    elsewhere = path.replace(learner.user_id, str(uuid.uuid4()))
    assert get(elsewhere, headers)[0] == 403, "the peer lets in others than the owner"
    assert get(path, {"authorization": f"Bearer {token[:-2]}AA"})[0] == 401, "the peer takes any token"
    return Target(path, headers, None, len(body))


def _answer(address: str, authorization: str, message: bytes) -> bytes:
    with grpc.insecure_channel(address.removeprefix("http://")) as channel:
        rpc: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(RPC)
        return rpc(message, metadata=(("authorization", authorization),), timeout=PATIENCE)
