"""The command retire-key, which ends the use of a signing key that leaked."""

from chassis.testing import eventually_error
from identity_service.tests.commands import run_command
from identity_service.tests.conftest import Identity
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.user_service_pb2 import GetUserRequest

SECRET = "a secret of this test, long enough"


async def test_tokens_of_a_retired_key_are_rejected_also_if_they_were_accepted_before(
    identity: Identity,
) -> None:
    admin = await identity.sign_up_admin()
    read = GetUserRequest(user_id="me")
    await identity.users.GetUser(read, **admin.auth)
    [kid] = identity.read_column("SELECT kid FROM signing_keys")
    done = await run_command(identity.database_url, "retire-key", kid, secret=SECRET)
    assert (done.exit_code, kid in done.stdout) == (0, True)
    error = await eventually_error(lambda: identity.users.GetUser(read, **admin.auth))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")
    await identity.refresh(admin)
    await identity.users.GetUser(read, **admin.auth)
    retired = AuditAction.AUDIT_ACTION_SIGNING_KEY_RETIRED
    entries = [one for one in await identity.list_audited(admin) if one.action == retired]
    assert [entry.details["kid"] for entry in entries] == [kid]


async def test_an_unknown_key_is_an_error(identity: Identity) -> None:
    done = await run_command(identity.database_url, "retire-key", "nothing", secret=SECRET)
    assert (done.exit_code, done.stderr.strip()) == (1, "there is no key with this id")
    assert identity.count_rows("signing_keys") == 1
