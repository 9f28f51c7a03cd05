"""Reads of people and classes against a peer, pages of a large class, and what a sign-in costs beside its hash."""

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
from tests.benchmarks import databases, people_serving
from tests.benchmarks.load import Load, Target
from tests.benchmarks.peering import PATIENCE, framed, get, peer, process
from tests.benchmarks.report import Row, Say
from tests.benchmarks.thresholds import LATE_PAGE, READ_AGAINST_PEER, SIGN_IN

MEMBERS = 5_000
CLASSES = 20
"""That the caller teaches."""
PASSWORD = "a long walk along the shore"
HASHING = 2
"""Threads of the service that hash, as MENO_PASSWORD_THREADS is by default."""
SIGN_INS = 60

_FILL = """
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
class Installation:
    """A teacher of a large class, and of some more."""

    token: str
    user_id: str
    class_id: str


@dataclass(frozen=True)
class Read:
    """One read, as we and as the peer serve it."""

    name: str
    rpc: str
    request: Message
    path: str


def measure(load: Load, *, quick: bool, say: Say) -> list[Row]:
    """The rows of identity_service."""
    with (
        databases.migrated("identity_service") as url,
        tempfile.TemporaryDirectory(prefix="meno-benchmark-") as scratch,
    ):
        directory = Path(scratch)
        arguments = [sys.executable, "-m", "tests.benchmarks.people_serving", scratch, url]
        with process(arguments, stdout=subprocess.PIPE) as ours:
            assert ours.stdout is not None
            port = json.loads(ours.stdout.readline())["port"]
            with people_serving.channel(directory, port) as channel:
                say(f"a class of {MEMBERS}")
                installation = _school(channel, url)
                keys = KeySetServiceStub(channel).GetJsonWebKeys(GetJsonWebKeysRequest()).data
                with peer("identity", url, json.loads(keys)) as (peer_url, _):
                    rows = [*_reads(load, port, channel, peer_url, installation, quick=quick, say=say)]
                say("pages")
                rows.append(_pages(channel, installation))
                say("sign-ins")
                return [*rows, _sign_ins(channel)]


def _school(channel: grpc.Channel, url: str) -> Installation:
    signing, teaching = AuthServiceStub(channel), ClassServiceStub(channel)
    name = f"t{uuid.uuid4().hex[:12]}"
    request = auth.SignUpRequest(
        login_name=name,
        email=f"{name}@example.org",
        display_name="Mira Teacher",
        password=PASSWORD,
        role=GlobalRole.GLOBAL_ROLE_TEACHER,
    )
    tokens = signing.SignUp(request)
    made = [
        teaching.CreateClass(
            classes.CreateClassRequest(title=f"Class {number}"), metadata=_bearer(tokens.access_token)
        )
        for number in range(CLASSES)
    ]
    user_id, class_id = tokens.user.user_id, made[0].class_id
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL.format(members=MEMBERS, class_id=class_id, user_id=user_id).encode())
        connection.execute("VACUUM ANALYZE")
    tokens = signing.RefreshTokens(auth.RefreshTokensRequest(refresh_token=tokens.refresh_token))
    return Installation(tokens.access_token, user_id, class_id)


def _every_read(installation: Installation) -> Iterator[Read]:
    user, of = f"/v1/users/{installation.user_id}", f"/v1/classes/{installation.class_id}"
    service = "/meno.identity.v1."
    yield Read(
        "GetUser", f"{service}UserService/GetUser", users.GetUserRequest(user_id=installation.user_id), user
    )
    yield Read(
        "GetSettings",
        f"{service}UserService/GetSettings",
        users.GetSettingsRequest(user_id=installation.user_id),
        f"{user}/settings",
    )
    yield Read(
        "GetClass",
        f"{service}ClassService/GetClass",
        classes.GetClassRequest(class_id=installation.class_id),
        of,
    )
    yield Read(
        f"ListClasses ({CLASSES})",
        f"{service}ClassService/ListClasses",
        classes.ListClassesRequest(user_id=installation.user_id),
        f"{user}/classes",
    )
    yield Read(
        f"ListMemberships (50 of {MEMBERS:,})",
        f"{service}ClassService/ListMemberships",
        classes.ListMembershipsRequest(class_id=installation.class_id),
        f"{of}/memberships",
    )


def _reads(
    load: Load,
    port: int,
    channel: grpc.Channel,
    peer_url: str,
    installation: Installation,
    *,
    quick: bool,
    say: Say,
) -> Iterator[Row]:
    """Each read in turn with the peer's, in short rounds, forwards and backwards by turns."""
    rounds, seconds = (3, 0.7) if quick else (7, 1.0)
    for read in _every_read(installation):
        say(read.name)
        targets = {
            "ours": _ours(port, channel, read, installation.token),
            "peer": _peers(peer_url, read, installation.token),
        }
        expected = {name: load.run(target, 300) for name, target in targets.items()}
        rates: dict[str, list[float]] = {name: [] for name in targets}
        for number in range(rounds):
            order = [*targets.items()]
            for name, target in order if number % 2 else reversed(order):
                rates[name].append(load.run(target, max(int(expected[name] * seconds), 50)))
        ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates["peer"], strict=True)]
        middle = statistics.median
        yield Row(
            READ_AGAINST_PEER.format(read.name),
            middle(rates["ours"]),
            "calls/s",
            middle(rates["peer"]),
            middle(ratios),
        )


def _ours(port: int, channel: grpc.Channel, read: Read, token: str) -> Target:
    headers = {"content-type": "application/grpc", "te": "trailers", "authorization": f"Bearer {token}"}
    message = read.request.SerializeToString()
    rpc: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(read.rpc)
    answer = rpc(message, metadata=_bearer(token), timeout=PATIENCE)
    assert answer, "an empty answer"
    return Target(f"https://127.0.0.1:{port}{read.rpc}", headers, framed(message), len(framed(answer)))


def _peers(url: str, read: Read, token: str) -> Target:
    headers = {"authorization": f"Bearer {token}"}
    status, body = get(url + read.path, headers)
    assert status == 200, f"the peer does not answer {read.path}"
    strange = {"authorization": f"Bearer {token[:-2]}AA"}
    assert get(url + read.path, strange)[0] == 401, "the peer takes any token"
    return Target(url + read.path, headers, None, len(body))


def _pages(channel: grpc.Channel, installation: Installation) -> Row:
    """The last pages of a large class against its first."""
    listing, how = ClassServiceStub(channel), _bearer(installation.token)

    def page(token: str) -> tuple[float, str]:
        request = classes.ListMembershipsRequest(class_id=installation.class_id, page_token=token)
        began = time.perf_counter()
        reply = listing.ListMemberships(request, metadata=how)
        return time.perf_counter() - began, reply.next_page_token

    tokens = [""]
    while following := page(tokens[-1])[1]:
        tokens.append(following)
    early, late = tokens[:5], tokens[-6:-1]
    costs = {"early": [page(token)[0] for _ in range(20) for token in early]}
    costs["late"] = [page(token)[0] for _ in range(20) for token in late]
    first, last = (statistics.median(costs[name]) for name in ("early", "late"))
    return Row(LATE_PAGE, 1000 * last, "ms", 1000 * first, last / first)


def _sign_ins(channel: grpc.Channel) -> Row:
    """Sign-ins a second, against verifying alone on as many threads as the service has for it.

    Twice as many callers keep these threads busy: what is not hashing is done meanwhile.
    """
    signing = AuthServiceStub(channel)
    names = [f"s{uuid.uuid4().hex[:12]}" for _ in range(4)]
    for name in names:
        signing.SignUp(auth.SignUpRequest(login_name=name, display_name=name, password=PASSWORD))
    hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
    stored = hasher.hash(PASSWORD)

    def sign_in(number: int) -> None:
        signing.SignIn(auth.SignInRequest(identifier=names[number % len(names)], password=PASSWORD))

    def verify(_: int) -> None:
        hasher.verify(stored, PASSWORD)

    rounds = [(_rate(sign_in, 2 * HASHING), _rate(verify, HASHING)) for _ in range(3)]
    ratios = [ours / alone for ours, alone in rounds]
    ours, alone = (statistics.median(one) for one in zip(*rounds, strict=True))
    return Row(SIGN_IN, ours, "a second", alone, statistics.median(ratios))


def _rate(work: Callable[[int], None], callers: int) -> float:
    with ThreadPoolExecutor(callers) as pool:
        began = time.perf_counter()
        [*pool.map(work, range(SIGN_INS))]
        return SIGN_INS / (time.perf_counter() - began)


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
