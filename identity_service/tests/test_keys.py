"""Signing keys: how they take turns, and that nobody notices."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from google.api.httpbody_pb2 import HttpBody
from typer.testing import CliRunner, Result

from chassis import tokens
from chassis.database import Database
from chassis.errors import ServiceUnavailable, TokenInvalid
from chassis.testing import House, Served, refused
from chassis.tokens import Tokens
from identity_service.__main__ import cli
from identity_service.app import compose
from identity_service.settings import Settings
from identity_service.sign_in.keys import rules
from identity_service.sign_in.keys.issuer import Issuer, Subject
from identity_service.sign_in.keys.rotation import Rotation, SecretIsAnother
from identity_service.sign_in.keys.store import RING, KeyRow
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest, GetOpenIdConfigurationRequest
from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub
from meno.identity.v1.user_service_pb2 import GetUserRequest

SECRET = "a secret of this test, long enough"
SOON = 20
ASKS = GetJsonWebKeysRequest()
NOW = datetime(2026, 5, 4, tzinfo=UTC)
LIFETIME = timedelta(days=90)
SUBJECT = Subject("018f0000-0000-7000-8000-000000000001", "STUDENT", 0, False, {}, {}, "a sign-in")


def key(kid: str, signs_in: timedelta, retired_in: timedelta | None = None) -> KeyRow:
    """A key that signs from then on, as seen NOW."""
    return KeyRow(kid, b"", {}, NOW + signs_in, NOW + retired_in if retired_in is not None else None)


MINUTE = timedelta(minutes=1)
OLD, NEW = key("old", -LIFETIME), key("new", MINUTE)


@pytest.mark.parametrize(
    ("keys", "kid"),
    [
        ([OLD], "old"),
        ([OLD, NEW], "old"),
        ([OLD, key("new", timedelta())], "new"),
        ([key("old", -LIFETIME, MINUTE), key("new", -MINUTE)], "new"),
        # By a clock that is behind nothing has begun.
        ([NEW], "new"),
        # Whatever was retired signs no more.
        ([OLD, key("new", -MINUTE, -MINUTE)], "old"),
    ],
)
def test_the_last_key_that_has_begun_signs(keys: list[KeyRow], kid: str) -> None:
    assert rules.signing(keys, NOW).kid == kid


def test_a_key_is_published_from_before_it_signs_until_its_tokens_have_ended() -> None:
    keys = [key("gone", -LIFETIME, -MINUTE), key("ends", -LIFETIME, MINUTE), key("signs", -MINUTE), NEW]
    assert [one.kid for one in rules.published(keys, NOW)] == ["ends", "signs", "new"]
    assert rules.superseded(keys, NOW) == {}
    later = rules.superseded(keys, NOW + MINUTE)
    assert later == {"signs": NEW.signs_from + tokens.LIFETIME + 2 * tokens.CLOCK_SKEW}
    assert rules.LEAD >= 2 * tokens.KEY_CACHE


@pytest.mark.parametrize(
    ("signs_in", "due"),
    [
        (-LIFETIME, True),
        (rules.LEAD - LIFETIME, True),
        (rules.LEAD - LIFETIME + MINUTE, False),
        (rules.LEAD, False),
    ],
)
def test_the_next_key_is_due_early_enough_to_be_known(signs_in: timedelta, due: bool) -> None:
    assert rules.is_due([key("last", signs_in)], NOW, LIFETIME) is due


async def test_a_replica_that_knows_no_keys_neither_signs_nor_publishes() -> None:
    issuer = Issuer(Database("postgresql://nobody@127.0.0.1:1/nothing"), rotation())
    with pytest.raises(ServiceUnavailable):
        issuer.sign(SUBJECT)
    with pytest.raises(ServiceUnavailable):
        await issuer.key_set()


async def test_the_next_key_is_added_once_in_time(identity: Identity, database: Database) -> None:
    admin = await identity.sign_up_admin()
    age(database.url, LIFETIME - rules.LEAD)
    issuers = [Issuer(database, rotation()) for _ in range(8)]
    await asyncio.gather(*(issuer.load() for issuer in issuers))
    first, second = keys_of(database.url)
    assert second.signs_from - datetime.now(UTC) > rules.LEAD - MINUTE
    for issuer in issuers:
        assert await kids(issuer) == {first.kid, second.kid}
        assert kid_of(issuer.sign(SUBJECT).text) == first.kid
    tell_replicas(database.url, "outbox")
    added = AuditAction.AUDIT_ACTION_SIGNING_KEY_ADDED
    entries = [one for one in await identity.audited(admin) if one.action == added]
    assert [(one.details["kid"], one.actor_user_id) for one in entries] == [(second.kid, "")]


async def test_a_key_that_is_long_gone_is_deleted(identity: Identity, database: Database) -> None:
    await rotate_keys(database.url)
    age(database.url, rules.LEAD)
    issuer = Issuer(database, rotation())
    await issuer.load()
    first, second = keys_of(database.url)
    assert first.retired_at == second.signs_from + rules.OVERLAP
    age(database.url, rules.OVERLAP)
    await issuer.load()
    assert await kids(issuer) == {second.kid}
    age(database.url, rules.KEPT_FOR)
    await issuer.load()
    assert [one.kid for one in keys_of(database.url)] == [second.kid]


async def test_where_every_key_was_retired_a_new_one_signs_at_once(
    identity: Identity, database: Database
) -> None:
    [leaked] = keys_of(database.url)
    execute(database.url, "UPDATE signing_keys SET retired_at = now()")
    issuer = Issuer(database, rotation())
    await issuer.load()
    assert kid_of(issuer.sign(SUBJECT).text) != leaked.kid
    assert leaked.kid not in await kids(issuer)


async def test_the_command_says_when_keys_take_turns(identity: Identity, database: Database) -> None:
    done = await rotate_keys(database.url)
    again = await rotate_keys(database.url)
    _, second = keys_of(database.url)
    says, goes = done.stdout.splitlines()
    assert second.kid in says
    assert f"{second.signs_from:%Y-%m-%d %H:%M:%S} UTC" in says
    assert f"{second.signs_from + rules.OVERLAP:%Y-%m-%d %H:%M:%S} UTC" in goes
    assert (done.exit_code, again.exit_code, again.stdout) == (0, 0, done.stdout)


async def test_no_key_is_added_under_another_secret(identity: Identity, database: Database) -> None:
    done = await rotate_keys(database.url, SECRET[::-1])
    assert (done.exit_code, "MENO_SECRET" in done.stderr) == (1, True)
    age(database.url, LIFETIME)
    with pytest.raises(SecretIsAnother):
        await Issuer(database, Rotation(SECRET[::-1].encode(), LIFETIME)).load()
    assert len(keys_of(database.url)) == 1


async def test_under_another_secret_nothing_is_served(identity: Identity, database: Database) -> None:
    settings = Settings(database_url=database.url, secret=SECRET[::-1], tls_directory=Path())
    with pytest.raises(SystemExit, match="another MENO_SECRET: set that one again"):
        async with compose(settings):
            pass


async def test_the_issuer_tells_what_it_is(identity: Identity) -> None:
    stub = KeySetServiceStub(identity.served.channel())
    body = await stub.GetOpenIdConfiguration(GetOpenIdConfigurationRequest())
    assert body.content_type == "application/json"
    known = json.loads(body.data)
    person = await identity.sign_up()
    claims = read(person.tokens.access_token, 1)
    assert known["issuer"] == claims["iss"]
    assert known["jwks_uri"] == "http://localhost:8080/.well-known/jwks.json"
    assert known["id_token_signing_alg_values_supported"] == [read(person.tokens.access_token, 0)["alg"]]
    assert {*known["claims_supported"]} >= claims.keys()
    assert [name for name in known if name.endswith("_endpoint")] == []


class Follower:
    """Verifies tokens as the gateway does: by keys that it fetches again when its cache expires, and not before."""

    def __init__(self, replica: Served) -> None:
        self._keys = KeySetServiceStub(replica.channel())
        self._document: Mapping[str, Any] = {}
        self._tokens = Tokens(self._cached)

    async def cache_expires(self) -> None:
        body: HttpBody = await self._keys.GetJsonWebKeys(ASKS)
        self._document = json.loads(body.data)
        await self._tokens.refresh()

    async def verify(self, token: str) -> None:
        await self._tokens.caller(f"Bearer {token}")

    async def _cached(self) -> Mapping[str, Any]:
        return self._document


class Client:
    """Somebody who never stops calling: what one replica signs, both accept, and who follows them."""

    def __init__(self, replicas: list[Identity], follower: Follower, person: Person) -> None:
        self._replicas = itertools.cycle(replicas)
        self._follower = follower
        self.person = person
        self.kids: list[str] = []
        """Of the key of each round, a round by one replica and a round by the other."""

    async def run(self) -> None:
        while True:
            await next(self._replicas).refresh(self.person)
            for _ in range(2):
                await read_oneself(next(self._replicas), self.person)
            await self._follower.verify(self.person.tokens.access_token)
            self.kids.append(kid_of(self.person.tokens.access_token))

    async def go_on(self, kid: str) -> None:
        """Returns once each replica has signed with this key, from here on."""
        begun = len(self.kids)

        async def signed() -> bool:
            return self.kids[begun:][-2:] == [kid] * 2

        await soon(signed)


async def test_keys_take_turns_without_one_refused_call(
    house: House, new_database: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_database("identity_service")
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(replica(house, url, tmp_path)) for _ in range(2)]
        followers = [Follower(one.served) for one in replicas]
        clients = [Client(replicas, follower, await replicas[0].sign_up()) for follower in followers * 2]
        early, late = await replicas[0].sign_up(), await replicas[0].sign_up()
        await caches_expire(followers)
        async with asyncio.TaskGroup() as group:
            calling = [group.create_task(client.run()) for client in clients]
            first = keys_of(url)[0].kid
            await everybody(clients, first)
            await rotate_keys(url)
            second = keys_of(url)[1].kid
            tell_replicas(url)
            await publish(replicas, {first, second})

            age(url, rules.LEAD / 2)
            tell_replicas(url)
            await caches_expire(followers)
            await everybody(clients, first)

            age(url, rules.LEAD / 2)
            tell_replicas(url)
            await everybody(clients, second)
            for one, follower in zip(replicas, followers, strict=True):
                await read_oneself(one, early)
                await follower.verify(early.tokens.access_token)

            await soon(partial(is_retired, url, first))
            await caches_expire(followers)
            age(url, rules.OVERLAP)
            tell_replicas(url)
            await publish(replicas, {second})
            await caches_expire(followers)
            await everybody(clients, second)
            for one, follower in zip(replicas, followers, strict=True):
                assert (await refused(read_oneself(one, late))).reason == "TOKEN_INVALID"
                with pytest.raises(TokenInvalid):
                    await follower.verify(late.tokens.access_token)
            for call in calling:
                call.cancel()


@asynccontextmanager
async def replica(house: House, url: str, directory: Path) -> AsyncIterator[Identity]:
    settings = Settings(database_url=url, secret=SECRET, tls_directory=directory)
    async with compose(settings) as app, house.serve(app, "identity_service") as served:
        await app.guard.rights.ready.wait()
        yield Identity(served, url)


def rotation() -> Rotation:
    return Rotation(SECRET.encode(), LIFETIME)


async def rotate_keys(url: str, secret: str = SECRET) -> Result:
    """Runs the command in a thread, for it has an event loop of its own."""
    settings = {"MENO_DATABASE_URL": url, "MENO_SECRET": secret, "MENO_TLS_DIRECTORY": str(Path())}
    return await asyncio.to_thread(CliRunner().invoke, cli, ["rotate-keys"], env=settings)


def age(url: str, by: timedelta) -> None:
    """Lets time pass for the keys."""
    execute(url, "UPDATE signing_keys SET signs_from = signs_from - %s, retired_at = retired_at - %s", by, by)


def tell_replicas(url: str, key: str = RING) -> None:
    """Has every replica read the keys, as it does by itself every minute."""
    execute(url, "SELECT pg_notify('meno_bell', %s)", f"test {key}")


async def publish(replicas: list[Identity], kids: set[str]) -> None:
    """Returns once every replica publishes these keys."""
    for one in replicas:
        published = KeySetServiceStub(one.served.channel()).GetJsonWebKeys

        async def publishes(ask: Any = published) -> bool:
            return {key["kid"] for key in json.loads((await ask(ASKS)).data)["keys"]} == kids

        await soon(publishes)


async def everybody(clients: list[Client], kid: str) -> None:
    await asyncio.gather(*(client.go_on(kid) for client in clients))


async def caches_expire(followers: list[Follower]) -> None:
    for follower in followers:
        await follower.cache_expires()


async def soon(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SOON):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


async def read_oneself(one: Identity, person: Person) -> None:
    await one.users.GetUser(GetUserRequest(user_id="me"), **person.auth)


async def kids(issuer: Issuer) -> set[str]:
    """The keys that are published."""
    return {key["kid"] for key in (await issuer.key_set())["keys"]}


def kid_of(token: str) -> str:
    return str(read(token, 0)["kid"])


def read(token: str, part: int) -> dict[str, Any]:
    """The header of a token, or its claims."""
    text = token.split(".")[part]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def keys_of(url: str) -> list[KeyRow]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(f"SELECT {', '.join(KeyRow._fields)} FROM signing_keys ORDER BY signs_from")
        return [KeyRow(*row) for row in rows]


async def is_retired(url: str, kid: str) -> bool:
    return any(one.kid == kid and one.retired_at for one in keys_of(url))


def execute(url: str, statement: str, *values: object) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode(), values)
