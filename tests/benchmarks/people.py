"""Measures reads of users and classes against a peer, pages of a large class, and sign-ins against their hashes."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import psycopg
from argon2 import PasswordHasher
from google.protobuf.message import Message

from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest
from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub
from meno.identity.v1 import auth_service_pb2 as auth
from meno.identity.v1 import class_service_pb2 as classes
from meno.identity.v1 import user_service_pb2 as users
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from meno.identity.v1.class_service_pb2_grpc import ClassServiceStub
from tests.benchmarks import databases, people_server
from tests.benchmarks.load import LoadGenerator, Target
from tests.benchmarks.peer_process import TIMEOUT_SECONDS, forge, frame, get, peer, process
from tests.benchmarks.report import Progress, Row
from tests.benchmarks.thresholds import LATE_PAGE, READ_AGAINST_PEER, SIGN_IN

MEMBERS = 5_000
CLASSES = 20
"""The number of classes that the caller teaches."""
PASSWORD = "a long walk along the shore"
HASHING_THREADS = 2
"""The default of MENO_PASSWORD_THREADS."""
SIGN_INS = 60

_INSERT_MEMBERS = """
INSERT INTO users (user_id, display_name, nickname, role)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Pupil ' || n, 'Pupil', 'STUDENT'
FROM generate_series(1, {members}) n;
INSERT INTO class_memberships (class_id, user_id, role, created_at)
SELECT '{class_id}', ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'STUDENT',
       now() + n * interval '1 second'
FROM generate_series(1, {members}) n;
INSERT INTO user_classes (user_id, class_id, role)
SELECT user_id, class_id, role FROM class_memberships WHERE role = 'STUDENT';
INSERT INTO user_settings (user_id, time_zone) VALUES ('{user_id}', 'Asia/Kolkata') ON CONFLICT DO NOTHING;
"""


@dataclass(frozen=True)
class Teacher:
    """A teacher of one large class and of several empty ones."""

    token: str
    user_id: str
    class_id: str


@dataclass(frozen=True)
class Read:
    """One read, as an RPC and as a request to the peer."""

    name: str
    rpc: str
    request: Message
    path: str


def measure(generator: LoadGenerator, *, quick: bool, progress: Progress) -> list[Row]:
    """Returns the rows of identity_service."""
    with (
        databases.migrated("identity_service") as url,
        tempfile.TemporaryDirectory(prefix="meno-benchmark-") as scratch,
    ):
        directory = Path(scratch)
        arguments = [sys.executable, "-m", "tests.benchmarks.people_server", scratch, url]
        with process(arguments, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            port = json.loads(server.stdout.readline())["port"]
            with people_server.channel(directory, port) as channel:
                progress(f"a class of {MEMBERS}")
                teacher = _create_teacher(channel, url)
                keys = KeySetServiceStub(channel).GetJsonWebKeys(GetJsonWebKeysRequest()).data
                with peer("identity", url, json.loads(keys)) as (peer_url, _):
                    rows = [
                        *_reads(generator, port, channel, peer_url, teacher, quick=quick, progress=progress)
                    ]
                progress("pages")
                rows.append(_pages(channel, teacher))
                progress("sign-ins")
                return [*rows, _sign_ins(channel)]


def _create_teacher(channel: grpc.Channel, url: str) -> Teacher:
    auth_service, class_service = AuthServiceStub(channel), ClassServiceStub(channel)
    name = f"t{uuid.uuid4().hex[:12]}"
    request = auth.SignUpRequest(
        login_name=name,
        email=f"{name}@example.org",
        display_name="Mira Teacher",
        password=PASSWORD,
        role=GlobalRole.GLOBAL_ROLE_TEACHER,
    )
    tokens = auth_service.SignUp(request)
    created = [
        class_service.CreateClass(
            classes.CreateClassRequest(title=f"Class {number}"), metadata=_bearer(tokens.access_token)
        )
        for number in range(CLASSES)
    ]
    user_id, class_id = tokens.user.user_id, created[0].class_id
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            _INSERT_MEMBERS.format(members=MEMBERS, class_id=class_id, user_id=user_id).encode()
        )
        connection.execute("VACUUM ANALYZE")
    tokens = auth_service.RefreshTokens(auth.RefreshTokensRequest(refresh_token=tokens.refresh_token))
    return Teacher(tokens.access_token, user_id, class_id)


def _list_reads(teacher: Teacher) -> Iterator[Read]:
    user_path, class_path = f"/v1/users/{teacher.user_id}", f"/v1/classes/{teacher.class_id}"
    service = "/meno.identity.v1."
    yield Read(
        "GetUser", f"{service}UserService/GetUser", users.GetUserRequest(user_id=teacher.user_id), user_path
    )
    yield Read(
        "GetSettings",
        f"{service}UserService/GetSettings",
        users.GetSettingsRequest(user_id=teacher.user_id),
        f"{user_path}/settings",
    )
    yield Read(
        "GetClass",
        f"{service}ClassService/GetClass",
        classes.GetClassRequest(class_id=teacher.class_id),
        class_path,
    )
    yield Read(
        f"ListClasses ({CLASSES})",
        f"{service}ClassService/ListClasses",
        classes.ListClassesRequest(user_id=teacher.user_id),
        f"{user_path}/classes",
    )
    yield Read(
        f"ListMemberships (50 of {MEMBERS:,})",
        f"{service}ClassService/ListMemberships",
        classes.ListMembershipsRequest(class_id=teacher.class_id),
        f"{class_path}/memberships",
    )


def _reads(
    generator: LoadGenerator,
    port: int,
    channel: grpc.Channel,
    peer_url: str,
    teacher: Teacher,
    *,
    quick: bool,
    progress: Progress,
) -> Iterator[Row]:
    """Yields the row of each read. Meno and the peer alternate in short rounds, and so does their order."""
    rounds, seconds = (3, 0.7) if quick else (7, 1.0)
    for read in _list_reads(teacher):
        progress(read.name)
        targets = {
            "meno": _meno_target(port, channel, read, teacher.token),
            "peer": _peer_target(peer_url, read, teacher.token),
        }
        expected = {name: generator.run(target, 300) for name, target in targets.items()}
        rates: dict[str, list[float]] = {name: [] for name in targets}
        for number in range(rounds):
            order = [*targets.items()]
            for name, target in order if number % 2 else reversed(order):
                rates[name].append(generator.run(target, max(int(expected[name] * seconds), 50)))
        ratios = [meno / peer for meno, peer in zip(rates["meno"], rates["peer"], strict=True)]
        median = statistics.median
        yield Row(
            READ_AGAINST_PEER.format(read.name),
            median(rates["meno"]),
            "calls/s",
            median(rates["peer"]),
            median(ratios),
        )


def _meno_target(port: int, channel: grpc.Channel, read: Read, token: str) -> Target:
    headers = {"content-type": "application/grpc", "te": "trailers", "authorization": f"Bearer {token}"}
    message = read.request.SerializeToString()
    rpc: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(read.rpc)
    response = rpc(message, metadata=_bearer(token), timeout=TIMEOUT_SECONDS)
    assert response, "the response is empty"
    return Target(f"https://127.0.0.1:{port}{read.rpc}", headers, frame(message), len(frame(response)))


def _peer_target(url: str, read: Read, token: str) -> Target:
    headers = {"authorization": f"Bearer {token}"}
    status, body = get(url + read.path, headers)
    assert status == 200, f"the peer returned {status} for {read.path}"
    forged = {"authorization": f"Bearer {forge(token)}"}
    assert get(url + read.path, forged)[0] == 401, "the peer does not verify signatures"
    return Target(url + read.path, headers, None, len(body))


def _pages(channel: grpc.Channel, teacher: Teacher) -> Row:
    """Measures the last pages of the members of a large class against the first pages."""
    class_service, metadata = ClassServiceStub(channel), _bearer(teacher.token)

    def page(token: str) -> tuple[float, str]:
        request = classes.ListMembershipsRequest(class_id=teacher.class_id, page_token=token)
        started = time.perf_counter()
        reply = class_service.ListMemberships(request, metadata=metadata)
        return time.perf_counter() - started, reply.next_page_token

    tokens = [""]
    while next_token := page(tokens[-1])[1]:
        tokens.append(next_token)
    early, late = tokens[:5], tokens[-6:-1]
    costs = {"early": [page(token)[0] for _ in range(20) for token in early]}
    costs["late"] = [page(token)[0] for _ in range(20) for token in late]
    first, last = (statistics.median(costs[name]) for name in ("early", "late"))
    return Row(LATE_PAGE, 1000 * last, "ms", 1000 * first, last / first)


def _sign_ins(channel: grpc.Channel) -> Row:
    """Measures sign-ins per second, against only verifying hashes with as many threads as the service has.

    There are twice as many callers as hashing threads, so that the threads hash while other work is done.
    """
    auth_service = AuthServiceStub(channel)
    names = [f"s{uuid.uuid4().hex[:12]}" for _ in range(4)]
    for name in names:
        auth_service.SignUp(auth.SignUpRequest(login_name=name, display_name=name, password=PASSWORD))
    hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
    stored = hasher.hash(PASSWORD)

    def sign_in(number: int) -> None:
        auth_service.SignIn(auth.SignInRequest(identifier=names[number % len(names)], password=PASSWORD))

    def verify(_: int) -> None:
        hasher.verify(stored, PASSWORD)

    rounds = [(_rate(sign_in, 2 * HASHING_THREADS), _rate(verify, HASHING_THREADS)) for _ in range(3)]
    ratios = [sign_ins / hashes for sign_ins, hashes in rounds]
    sign_ins, hashes = (statistics.median(one) for one in zip(*rounds, strict=True))
    return Row(SIGN_IN, sign_ins, "per second", hashes, statistics.median(ratios))


def _rate(work: Callable[[int], None], callers: int) -> float:
    with ThreadPoolExecutor(callers) as pool:
        started = time.perf_counter()
        [*pool.map(work, range(SIGN_INS))]
        return SIGN_INS / (time.perf_counter() - started)


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
