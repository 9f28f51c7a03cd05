"""The pytest plugin of the house: real databases, real servers, signed tokens.

It needs a PostgreSQL with pgvector, whose superuser `MENO_TEST_POSTGRES` names as a
postgresql:// URL; the suite of the whole repository starts one by itself.
"""

import asyncio
import os
import time
import uuid
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import grpc
import psycopg
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from psycopg import sql

from chassis import migrations, tokens
from chassis.authority import Authority
from chassis.certificates import Authority as CertificateAuthority
from chassis.interceptors import CHAIN, Guard, Stage
from chassis.outbox import Deliver, Fact
from chassis.rights import Position, Rights
from chassis.server import App, server
from chassis.tls import Identity
from chassis.tokens import Tokens
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.account_feed_service_pb2 import AccountEvent, WatchAccountEventsResponse

SECRET = b"a secret that only the tests know"

_SOON = 10

Detail = TypeVar("Detail", bound=Message)


class Postgres:
    """Databases on the test server, each copied from a template that was migrated once."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._templates: set[str] = set()

    def url(self, database: str) -> str:
        """The URL of a database on the test server."""
        return urlunsplit(urlsplit(self._admin_url)._replace(path=f"/{database}"))

    def create(self, service: str) -> str:
        """Creates a database with a service's tables and returns its URL."""
        template = f"template_{service}_{os.getpid()}"
        if template not in self._templates:
            self._execute("CREATE DATABASE {}", template)
            with psycopg.connect(self.url(template)) as connection:
                connection.execute("CREATE EXTENSION vector")
            migrations.upgrade(service, self.url(template))
            self._templates.add(template)
        name = f"test_{uuid.uuid4().hex}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url(name)

    def create_empty(self) -> str:
        """Creates a database without tables and returns its URL."""
        name = f"test_{uuid.uuid4().hex}"
        self._execute("CREATE DATABASE {}", name)
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drops a database that `create` made, and its connections."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", urlsplit(url).path.lstrip("/"))

    def close(self) -> None:
        """Drops the templates."""
        for template in self._templates:
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", template)

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


class Issuer:
    """Signs access tokens as identity_service does."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "test", "use": "sig", "alg": tokens.ALGORITHM})

    def key_set(self) -> Mapping[str, Any]:
        """The public keys."""
        return KeySet([self.key]).as_dict(private=False)

    def token(
        self,
        user_id: str,
        *,
        role: str = "STUDENT",
        classes: Mapping[str, str] | None = None,
        lifetime: float = 300,
        **claims: Any,
    ) -> str:
        """A token of this person, valid for `lifetime` seconds; `claims` replace or add."""
        now = int(time.time())
        body = {
            "iss": tokens.ISSUER,
            "aud": tokens.AUDIENCE,
            "iat": now,
            "exp": now + lifetime,
            "jti": uuid.uuid4().hex,
            "sub": user_id,
            "role": role,
            "classes": {} if classes is None else classes,
            "sid": str(uuid.uuid4()),
            "rv": 0,
            **claims,
        }
        return jwt.encode({"alg": tokens.ALGORITHM, "typ": tokens.TYPE, "kid": "test"}, body, self.key)


class AccountFeed:
    """An account feed that a test writes."""

    def __init__(self) -> None:
        self._epoch = str(uuid.uuid4())
        self.events: list[AccountEvent] = []
        """What has happened so far."""
        self._changed = asyncio.Event()

    def append(self, **kind: Any) -> None:
        """Tells every follower what happened, such as `user_erased=AccountEvent.UserErased(…)`."""
        self.events.append(AccountEvent(sequence=len(self.events) + 1, **kind))
        self._changed.set()

    def lose_rights(self, user_id: str, rights_version: int) -> None:
        """Only tokens from this rights version on hold."""
        self.append(rights_lost=AccountEvent.RightsLost(user_id=user_id, rights_version=rights_version))

    def end_sign_in(self, user_id: str, sign_in_id: str) -> None:
        """No token of this sign-in holds."""
        self.append(sign_in_ended=AccountEvent.SignInEnded(user_id=user_id, sign_in_id=sign_in_id))

    def change_class(self, class_id: str, state: ClassState.ValueType) -> None:
        """The class is in this state."""
        self.append(class_changed=AccountEvent.ClassChanged(class_id=class_id, state=state))

    def restore(self) -> None:
        """What is kept is that of an earlier moment: a new epoch begins, with nothing in it."""
        self._epoch = str(uuid.uuid4())
        self.events.clear()

    async def follow(self, after: Position) -> AsyncIterator[WatchAccountEventsResponse]:
        """The feed as a follower reads it."""
        after_sequence = after.sequence if after.epoch == self._epoch else 0
        yield WatchAccountEventsResponse(epoch=self._epoch)
        while True:
            self._changed.clear()
            for event in self.events[after_sequence:]:
                after_sequence = event.sequence
                yield WatchAccountEventsResponse(event=event)
            heartbeat = WatchAccountEventsResponse.Heartbeat(sequence=after_sequence)
            yield WatchAccountEventsResponse(heartbeat=heartbeat)
            try:
                async with asyncio.timeout(1):
                    await self._changed.wait()
            except TimeoutError:
                continue


class House:
    """What surrounds a service under test: keys, certificates, the account feed."""

    def __init__(self, directory: Path) -> None:
        self.issuer = Issuer()
        self.feed = AccountFeed()
        self.told: list[Fact] = []
        """The facts that a service under `authority` has told, in order."""
        self._tells = asyncio.Event()
        self._authority = CertificateAuthority()
        self._directory = directory

    def identity(self, name: str) -> Identity:
        """The certificate of a service, a gateway or a stranger that the authority knows."""
        directory = self._directory / name
        if not directory.exists():
            self._authority.issue(name, directory)
        return Identity(directory)

    @asynccontextmanager
    async def guard(self) -> AsyncIterator[Guard]:
        """A guard that follows this house's keys and feed."""

        async def keys() -> Mapping[str, Any]:
            return self.issuer.key_set()

        guard = Guard(Tokens(keys), Rights(), SECRET)
        following = asyncio.create_task(guard.rights.follow(self.feed.follow))
        await guard.rights.ready.wait()
        try:
            yield guard
        finally:
            following.cancel()

    async def until_told(self, kind: str, **body: object) -> Fact:
        """The first fact of a kind that has these in its body, once a service has told it."""
        async with asyncio.timeout(_SOON):
            while True:
                for fact in self.told:
                    if fact.kind == kind and body.items() <= fact.body.items():
                        return fact
                self._tells.clear()
                await self._tells.wait()

    @asynccontextmanager
    async def authority(self) -> AsyncIterator[Authority]:
        """Stands above a service under test: it follows this house, which keeps what it is told."""

        async def keep(facts: Sequence[Fact]) -> None:
            self.told += facts
            self._tells.set()

        async with self.guard() as guard:
            yield Authority(guard, self.feed.follow, _EveryKind(keep))

    @asynccontextmanager
    async def serve(
        self, app: App, service: str, stages: tuple[Stage, ...] = CHAIN
    ) -> AsyncIterator["Served"]:
        """Serves an app under mutual TLS on a free port."""
        serving = server(app, stages)
        port = serving.add_secure_port("127.0.0.1:0", self.identity(service).server_credentials())
        await serving.start()
        background = [asyncio.create_task(work()) for work in app.background]
        served = Served(self, service, f"127.0.0.1:{port}")
        try:
            yield served
        finally:
            await served.close()
            await serving.stop(None)
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)


class _EveryKind(dict[str, Deliver]):
    """The same delivery for facts of every kind."""

    def __init__(self, deliver: Deliver) -> None:
        super().__init__()
        self._deliver = deliver

    def __missing__(self, kind: str) -> Deliver:
        return self._deliver


class Served:
    """A service that serves, and channels to it."""

    def __init__(self, house: House, service: str, address: str) -> None:
        self.address = address
        self._house = house
        self._service = service
        self._channels: dict[str, grpc.aio.Channel] = {}

    def channel(self, peer: str = "gateway") -> grpc.aio.Channel:
        """A channel that shows the certificate of `peer`."""
        if peer not in self._channels:
            credentials = self._house.identity(peer).channel_credentials()
            options = (
                ("grpc.ssl_target_name_override", self._service),
                ("grpc.max_metadata_size", 32 * 1024),
            )
            self._channels[peer] = grpc.aio.secure_channel(self.address, credentials, options)
        return self._channels[peer]

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            await channel.close()


@dataclass(frozen=True)
class Refusal:
    """How a call was refused."""

    code: str
    """NOT_FOUND, say."""
    reason: str
    """From the context's ErrorReason, without its prefix."""
    metadata: dict[str, str]
    status: Status

    def detail(self, kind: type[Detail]) -> Detail:
        """The detail of this type. Raises LookupError where there is none."""
        for packed in self.status.details:
            found = kind()
            if packed.Unpack(found):
                return found
        raise LookupError(kind.DESCRIPTOR.full_name)


async def refused(call: Awaitable[Any] | AsyncIterable[Any]) -> Refusal:
    """Awaits a call that must be refused, and tells how. Fails where it succeeds."""
    try:
        if isinstance(call, AsyncIterable):
            replies: Any = [reply async for reply in call]
        else:
            replies = await call
    except grpc.aio.AioRpcError as error:
        return refusal(error)
    raise AssertionError(f"the call was not refused, it returned {replies}")


async def soon(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """Repeats a call until it is let in, for what reaches a process by the feed; returns its answer."""
    async with asyncio.timeout(_SOON):
        while True:
            try:
                return await attempt()
            except grpc.aio.AioRpcError as error:
                refusal(error)


async def soon_refused(attempt: Callable[[], Awaitable[Any]], reason: str = "") -> Refusal:
    """Repeats a call until it is refused, for what reaches a process by the feed; tells how.

    With a `reason`, until it is refused for that one.
    """
    async with asyncio.timeout(_SOON):
        while True:
            try:
                await attempt()
            except grpc.aio.AioRpcError as error:
                told = refusal(error)
                if reason in {"", told.reason}:
                    return told


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    """What an error says of itself: exactly one ErrorInfo, of our domain."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, f"an error without a status: {error}"
    found = [info for packed in status.details if packed.Unpack(info := ErrorInfo())]
    assert [info.domain for info in found] == ["meno"], f"an error without its one ErrorInfo: {status}"
    return Refusal(error.code().name, found[0].reason, dict(found[0].metadata), status)


def bearer(token: str) -> dict[str, Any]:
    """Arguments for a call with this access token: `stub.GetUser(request, **bearer(token))`."""
    return {"metadata": (("authorization", f"Bearer {token}"),)}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The test server."""
    admin_url = os.environ.get("MENO_TEST_POSTGRES")
    if not admin_url:
        pytest.fail("MENO_TEST_POSTGRES names no PostgreSQL; run `make test`, or set it", pytrace=False)
    server = Postgres(admin_url)
    yield server
    server.close()


@pytest.fixture
def new_database(postgres: Postgres) -> Iterator[Callable[[str], str]]:
    """Creates databases with a service's tables, and drops them after the test."""
    made: list[str] = []

    def create(service: str) -> str:
        made.append(postgres.create(service))
        return made[-1]

    yield create
    for url in made:
        postgres.drop(url)


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> House:
    """Keys, certificates and an account feed of a test's own."""
    return House(tmp_path / "certificates")
