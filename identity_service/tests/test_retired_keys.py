"""The command retire-key, which ends the use of a signing key that leaked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc

from chassis import identity_client
from chassis.calls import Context
from chassis.database import Database
from chassis.identity_client import IdentityClient
from chassis.registration import service
from chassis.server import App
from chassis.testing import TestEnvironment, eventually_error, expect_error
from identity_service.account_feed import store as account_feed
from identity_service.sign_in import purging
from identity_service.tests.commands import run_command
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.data_rights_pb2 import ExportUserDataRequest
from meno.access.v1.resources_pb2 import AuditAction
from meno.chat.v1 import data_rights_service_pb2 as chat_data_rights
from meno.chat.v1.data_rights_service_pb2_grpc import DataRightsServiceStub
from meno.identity.v1.user_service_pb2 import GetUserRequest

SECRET = "a secret of this test, long enough"
ME = GetUserRequest(user_id="me")


class ExportServicer:
    """An RPC of another service, which only its owner may call."""

    async def ExportUserData(self, request: Any, context: Context) -> AsyncIterator[Any]:
        return
        yield


class OtherService:
    """A running service that verifies tokens with the keys and the feed of identity_service."""

    def __init__(self, client: IdentityClient, channel: grpc.aio.Channel) -> None:
        self.client = client
        self._stub = DataRightsServiceStub(channel)

    async def call(self, person: Person) -> None:
        """Makes a call that requires a valid token."""
        request = ExportUserDataRequest(user_id="me")
        async for _ in self._stub.ExportUserData(request, **person.auth):
            pass

    @asynccontextmanager
    async def follow_feed(self) -> AsyncIterator[None]:
        """Follows the keys and the feed during the body. A second use resumes, as after an interruption."""
        tasks = [asyncio.ensure_future(follower()) for follower in self.client.followers]
        await self.client.security.revocations.ready.wait()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def run_other_service(env: TestEnvironment, identity: Identity) -> AsyncIterator[OtherService]:
    client = identity_client.connect(identity.service.channel("chat_service"), SECRET.encode())
    app = App([service(chat_data_rights, ExportServicer())], client.security)
    async with env.serve(app, "chat_service") as running:
        yield OtherService(client, running.channel())


async def retire_key(identity: Identity) -> str:
    """Retires the signing key and returns its id."""
    [kid] = identity.read_column("SELECT kid FROM signing_keys WHERE retired_at IS NULL")
    done = await run_command(identity.database_url, "retire-key", kid, secret=SECRET)
    assert (done.exit_code, kid in done.stdout) == (0, True)
    return str(kid)


async def test_tokens_of_a_retired_key_are_rejected_also_if_they_were_accepted_before(
    identity: Identity,
) -> None:
    admin = await identity.sign_up_admin()
    await identity.users.GetUser(ME, **admin.auth)
    kid = await retire_key(identity)
    error = await eventually_error(lambda: identity.users.GetUser(ME, **admin.auth))
    # The process learns of the retirement from the feed, or first from its own keys, which no longer have the key.
    assert error.code == "UNAUTHENTICATED"
    assert error.reason in {"TOKEN_REVOKED", "TOKEN_INVALID"}
    # This process signs with another key already.
    await identity.refresh(admin)
    await identity.users.GetUser(ME, **admin.auth)
    retired = AuditAction.AUDIT_ACTION_SIGNING_KEY_RETIRED
    entries = [one for one in await identity.list_audited(admin) if one.action == retired]
    assert [entry.details["kid"] for entry in entries] == [kid]


async def test_another_service_rejects_the_tokens_of_a_retired_key_without_a_restart(
    env: TestEnvironment, identity: Identity
) -> None:
    person = await identity.sign_up()
    async with run_other_service(env, identity) as other, other.follow_feed():
        await other.call(person)
        await retire_key(identity)
        error = await eventually_error(partial(other.call, person))
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "TOKEN_REVOKED")


async def test_a_service_that_missed_the_retirement_rejects_the_tokens_when_it_resumes(
    env: TestEnvironment, identity: Identity, database: Database
) -> None:
    person = await identity.sign_up()
    async with run_other_service(env, identity) as other:
        async with other.follow_feed():
            await other.call(person)
        await retire_key(identity)
        # The service still has the key in its memory, and other events of that time are deleted.
        identity.execute_sql("UPDATE account_events SET created_at = created_at - interval '1 day'")
        await identity.sign_up()
        async with database.transaction() as transaction:
            await account_feed.append(transaction, "rights_lost", {"user_id": person.user_id})
        await purging.purge_once(database)
        await other.call(person)
        async with other.follow_feed():
            error = await eventually_error(partial(other.call, person))
            assert (error.code, error.reason) == ("UNAUTHENTICATED", "TOKEN_REVOKED")


async def test_a_service_that_starts_after_the_retirement_rejects_the_tokens(
    env: TestEnvironment, identity: Identity
) -> None:
    person = await identity.sign_up()
    await retire_key(identity)
    await eventually_error(lambda: identity.users.GetUser(ME, **person.auth))
    async with run_other_service(env, identity) as other, other.follow_feed():
        error = await expect_error(other.call(person))
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")
        await identity.refresh(person)
        await other.call(person)


async def test_an_unknown_key_is_an_error(identity: Identity) -> None:
    done = await run_command(identity.database_url, "retire-key", "nothing", secret=SECRET)
    assert (done.exit_code, done.stderr.strip()) == (1, "there is no key with this id")
    assert identity.count_rows("signing_keys") == 1
    assert identity.count_rows("account_events") == 0
