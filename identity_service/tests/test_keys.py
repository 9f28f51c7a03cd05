"""Rotation of the signing keys, without a rejected call."""

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

import pytest
from google.api.httpbody_pb2 import HttpBody
from typer.testing import Result

from chassis import tokens
from chassis.database import Database
from chassis.errors import ServiceUnavailable, TokenInvalid
from chassis.testing import RunningService, TestEnvironment, execute_sql, expect_error
from chassis.tokens import Tokens
from identity_service.app import create_app
from identity_service.settings import Settings
from identity_service.sign_in.keys import rules
from identity_service.sign_in.keys.rotation import KeyRotation, SecretMismatch
from identity_service.sign_in.keys.signer import TokenSigner
from identity_service.sign_in.keys.store import CHANNEL
from identity_service.sign_in.keys.types import KeyRow, Subject
from identity_service.tests.commands import run_command
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest, GetOpenIdConfigurationRequest
from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.user_service_pb2 import GetUserRequest

SECRET = "a secret of this test, long enough"
TIMEOUT_SECONDS = 120
REQUEST = GetJsonWebKeysRequest()
NOW = datetime(2026, 5, 4, tzinfo=UTC)
LIFETIME = timedelta(days=90)
SUBJECT = Subject("018f0000-0000-7000-8000-000000000001", "STUDENT", 0, False, {}, {}, "a sign-in")


def key(kid: str, signs_in: timedelta, retired_in: timedelta | None = None) -> KeyRow:
    """Returns a key that becomes active and is retired at these offsets from NOW."""
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
        # No key is active yet, because the clock is slow.
        ([NEW], "new"),
        # A retired key does not sign.
        ([OLD, key("new", -MINUTE, -MINUTE)], "old"),
    ],
)
def test_the_latest_active_key_signs(keys: list[KeyRow], kid: str) -> None:
    assert rules.select_signing_key(keys, NOW).kid == kid


def test_a_key_is_published_before_it_signs_and_until_its_tokens_expire() -> None:
    keys = [key("gone", -LIFETIME, -MINUTE), key("ends", -LIFETIME, MINUTE), key("signs", -MINUTE), NEW]
    assert [one.kid for one in rules.select_published(keys, NOW)] == ["ends", "signs", "new"]
    assert rules.find_superseded(keys, NOW) == {}
    later = rules.find_superseded(keys, NOW + MINUTE)
    assert later == {"signs": NEW.signs_from + tokens.LIFETIME + 2 * tokens.CLOCK_SKEW}
    assert rules.PUBLISH_BEFORE_USE >= 2 * tokens.KEY_CACHE


@pytest.mark.parametrize(
    ("signs_in", "due"),
    [
        (-LIFETIME, True),
        (rules.PUBLISH_BEFORE_USE - LIFETIME, True),
        (rules.PUBLISH_BEFORE_USE - LIFETIME + MINUTE, False),
        (rules.PUBLISH_BEFORE_USE, False),
    ],
)
def test_the_next_key_is_due_before_the_current_one_expires(signs_in: timedelta, due: bool) -> None:
    assert rules.is_rotation_due([key("last", signs_in)], NOW, LIFETIME) is due


async def test_a_replica_without_keys_neither_signs_nor_publishes() -> None:
    signer = TokenSigner(Database("postgresql://nobody@127.0.0.1:1/nothing"), rotation())
    with pytest.raises(ServiceUnavailable):
        signer.sign(SUBJECT)
    with pytest.raises(ServiceUnavailable):
        await signer.key_set()


async def test_concurrent_replicas_add_the_next_key_once(identity: Identity, database: Database) -> None:
    admin = await identity.sign_up_admin()
    age(database.url, LIFETIME - rules.PUBLISH_BEFORE_USE)
    signers = [TokenSigner(database, rotation()) for _ in range(8)]
    await asyncio.gather(*(signer.load() for signer in signers))
    first, second = keys_of(database.url)
    assert second.signs_from - datetime.now(UTC) > rules.PUBLISH_BEFORE_USE - MINUTE
    for signer in signers:
        assert await kids(signer) == {first.kid, second.kid}
        assert kid_of(signer.sign(SUBJECT).text) == first.kid
    notify_replicas(database.url, "outbox")
    added = AuditAction.AUDIT_ACTION_SIGNING_KEY_ADDED
    entries = [one for one in await identity.list_audited(admin) if one.action == added]
    assert [(one.details["kid"], one.actor_user_id) for one in entries] == [(second.kid, "")]


async def test_a_retired_key_is_deleted_after_its_retention(identity: Identity, database: Database) -> None:
    await rotate_keys(database.url)
    age(database.url, rules.PUBLISH_BEFORE_USE)
    signer = TokenSigner(database, rotation())
    await signer.load()
    first, second = keys_of(database.url)
    assert first.retired_at == second.signs_from + rules.OVERLAP
    age(database.url, rules.OVERLAP)
    await signer.load()
    assert await kids(signer) == {second.kid}
    age(database.url, rules.RETENTION)
    await signer.load()
    assert [one.kid for one in keys_of(database.url)] == [second.kid]


async def test_if_every_key_is_retired_a_new_one_signs_immediately(
    identity: Identity, database: Database
) -> None:
    [leaked] = keys_of(database.url)
    execute_sql(database.url, "UPDATE signing_keys SET retired_at = now()")
    signer = TokenSigner(database, rotation())
    await signer.load()
    assert kid_of(signer.sign(SUBJECT).text) != leaked.kid
    assert leaked.kid not in await kids(signer)


async def test_the_command_reports_the_times_of_the_rotation(identity: Identity, database: Database) -> None:
    done = await rotate_keys(database.url)
    again = await rotate_keys(database.url)
    _, second = keys_of(database.url)
    signs_line, retires_line = done.stdout.splitlines()
    assert second.kid in signs_line
    assert f"{second.signs_from:%Y-%m-%d %H:%M:%S} UTC" in signs_line
    assert f"{second.signs_from + rules.OVERLAP:%Y-%m-%d %H:%M:%S} UTC" in retires_line
    assert (done.exit_code, again.exit_code, again.stdout) == (0, 0, done.stdout)


async def test_no_key_is_added_with_another_secret(identity: Identity, database: Database) -> None:
    done = await rotate_keys(database.url, SECRET[::-1])
    assert (done.exit_code, "MENO_SECRET" in done.stderr) == (1, True)
    age(database.url, LIFETIME)
    with pytest.raises(SecretMismatch):
        await TokenSigner(database, KeyRotation(SECRET[::-1].encode(), LIFETIME)).load()
    assert len(keys_of(database.url)) == 1


async def test_the_service_does_not_start_with_another_secret(identity: Identity, database: Database) -> None:
    settings = Settings(database_url=database.url, secret=SECRET[::-1], tls_directory=Path())
    with pytest.raises(SystemExit, match="another MENO_SECRET: set the previous secret"):
        async with create_app(settings):
            pass


async def test_the_openid_configuration_describes_the_tokens(identity: Identity) -> None:
    stub = KeySetServiceStub(identity.service.channel())
    body = await stub.GetOpenIdConfiguration(GetOpenIdConfigurationRequest())
    assert body.content_type == "application/json"
    configuration = json.loads(body.data)
    person = await identity.sign_up()
    claims = decode(person.tokens.access_token, 1)
    assert configuration["issuer"] == claims["iss"]
    assert configuration["jwks_uri"] == "http://localhost:8080/.well-known/jwks.json"
    assert configuration["id_token_signing_alg_values_supported"] == [
        decode(person.tokens.access_token, 0)["alg"]
    ]
    assert {*configuration["claims_supported"]} >= claims.keys()
    assert [name for name in configuration if name.endswith("_endpoint")] == []


class CachingVerifier:
    """Verifies tokens like the gateway: it fetches the keys again only when its cache expires."""

    def __init__(self, replica: RunningService) -> None:
        self._keys = KeySetServiceStub(replica.channel())
        self._document: Mapping[str, Any] = {}
        self._tokens = Tokens(self._cached)

    async def refresh_cache(self) -> None:
        body: HttpBody = await self._keys.GetJsonWebKeys(REQUEST)
        self._document = json.loads(body.data)
        await self._tokens.refresh()

    async def verify(self, token: str) -> None:
        await self._tokens.caller(f"Bearer {token}")

    async def _cached(self) -> Mapping[str, Any]:
        return self._document


class Client:
    """A client that calls without pause: replicas and verifiers accept the tokens of each replica."""

    def __init__(self, replicas: list[Identity], verifier: CachingVerifier, person: Person) -> None:
        self._replicas = itertools.cycle(replicas)
        self._verifier = verifier
        self.person = person
        self.kids: list[str] = []
        """The key id of each round. The rounds alternate between the replicas."""

    async def run(self) -> None:
        while True:
            await next(self._replicas).refresh(self.person)
            for _ in range(2):
                await get_own_user(next(self._replicas), self.person)
            await self._verifier.verify(self.person.tokens.access_token)
            self.kids.append(kid_of(self.person.tokens.access_token))

    async def await_key(self, kid: str) -> None:
        """Returns when each replica has signed with this key since the call."""
        start = len(self.kids)

        async def signed() -> bool:
            return self.kids[start:][-2:] == [kid] * 2

        await wait_until(signed)


async def test_keys_rotate_without_a_rejected_call(
    env: TestEnvironment, new_database: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_database("identity_service")
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(replica(env, url, tmp_path)) for _ in range(2)]
        verifiers = [CachingVerifier(one.service) for one in replicas]
        clients = [Client(replicas, verifier, await replicas[0].sign_up()) for verifier in verifiers * 2]
        early, late = await replicas[0].sign_up(), await replicas[0].sign_up()
        await refresh_caches(verifiers)
        async with asyncio.TaskGroup() as group:
            calling = [group.create_task(client.run()) for client in clients]
            first = keys_of(url)[0].kid
            await await_key(clients, first)
            await rotate_keys(url)
            second = keys_of(url)[1].kid
            notify_replicas(url)
            await await_published(replicas, {first, second})

            age(url, rules.PUBLISH_BEFORE_USE / 2)
            notify_replicas(url)
            await refresh_caches(verifiers)
            await await_key(clients, first)

            age(url, rules.PUBLISH_BEFORE_USE / 2)
            notify_replicas(url)
            await await_key(clients, second)
            for one, verifier in zip(replicas, verifiers, strict=True):
                await get_own_user(one, early)
                await verifier.verify(early.tokens.access_token)

            await wait_until(partial(is_retired, url, first))
            await refresh_caches(verifiers)
            age(url, rules.OVERLAP)
            notify_replicas(url)
            await await_published(replicas, {second})
            await refresh_caches(verifiers)
            await await_key(clients, second)
            for one, verifier in zip(replicas, verifiers, strict=True):
                assert (await expect_error(get_own_user(one, late))).reason == "TOKEN_INVALID"
                with pytest.raises(TokenInvalid):
                    await verifier.verify(late.tokens.access_token)
            for call in calling:
                call.cancel()


@asynccontextmanager
async def replica(env: TestEnvironment, url: str, directory: Path) -> AsyncIterator[Identity]:
    settings = Settings(database_url=url, secret=SECRET, tls_directory=directory)
    async with create_app(settings) as app, env.serve(app, "identity_service") as served:
        await app.security.revocations.ready.wait()
        yield Identity(served, url)


def rotation() -> KeyRotation:
    return KeyRotation(SECRET.encode(), LIFETIME)


async def rotate_keys(url: str, secret: str = SECRET) -> Result:
    return await run_command(url, "rotate-keys", secret=secret)


def age(url: str, by: timedelta) -> None:
    """Moves the keys into the past."""
    execute_sql(
        url, "UPDATE signing_keys SET signs_from = signs_from - %s, retired_at = retired_at - %s", by, by
    )


def notify_replicas(url: str, key: str = CHANNEL) -> None:
    """Makes every replica reload the keys, as it also does every minute."""
    execute_sql(url, "SELECT pg_notify('meno_notify', %s)", f"test {key}")


async def await_published(replicas: list[Identity], kids: set[str]) -> None:
    """Returns when every replica publishes these keys."""
    for one in replicas:
        published = KeySetServiceStub(one.service.channel()).GetJsonWebKeys

        async def publishes(get_keys: Any = published) -> bool:
            return {key["kid"] for key in json.loads((await get_keys(REQUEST)).data)["keys"]} == kids

        await wait_until(publishes)


async def await_key(clients: list[Client], kid: str) -> None:
    await asyncio.gather(*(client.await_key(kid) for client in clients))


async def refresh_caches(verifiers: list[CachingVerifier]) -> None:
    for verifier in verifiers:
        await verifier.refresh_cache()


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


async def get_own_user(one: Identity, person: Person) -> None:
    await one.users.GetUser(GetUserRequest(user_id="me"), **person.auth)


async def kids(signer: TokenSigner) -> set[str]:
    """Returns the ids of the published keys."""
    return {key["kid"] for key in (await signer.key_set())["keys"]}


def kid_of(token: str) -> str:
    return str(decode(token, 0)["kid"])


def decode(token: str, part: int) -> dict[str, Any]:
    """Returns the header (0) or the claims (1) of a token."""
    text = token.split(".")[part]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def keys_of(url: str) -> list[KeyRow]:
    columns = ", ".join(KeyRow._fields)
    rows = execute_sql(url, f"SELECT {columns} FROM signing_keys ORDER BY signs_from")
    return [KeyRow(*row) for row in rows]


async def is_retired(url: str, kid: str) -> bool:
    return any(one.kid == kid and one.retired_at for one in keys_of(url))
