"""The command create-admin."""

from collections.abc import Callable

import pytest
from typer.testing import Result

from chassis.testing import execute_sql
from identity_service.tests.commands import run_command
from identity_service.tests.conftest import PASSWORD, Identity
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.auth_service_pb2 import SignInRequest

UNREACHABLE = "postgresql://nobody:nothing@127.0.0.1:1/nothing"


async def create_admin(url: str, login_name: str, password: str = PASSWORD) -> Result:
    return await run_command(url, "create-admin", "--login-name", login_name, "--password", password)


async def test_the_created_administrator_can_sign_in(identity: Identity) -> None:
    made = await create_admin(identity.database_url, "Root")
    assert made.exit_code == 0
    tokens = await identity.auth.SignIn(SignInRequest(identifier="root", password=PASSWORD))
    assert tokens.user.role == GlobalRole.GLOBAL_ROLE_ADMIN
    assert tokens.user.user_id in made.stdout


async def test_a_login_name_is_unique(new_database: Callable[[str], str]) -> None:
    url = new_database("identity_service")
    outcomes = [(await create_admin(url, name)).exit_code for name in ("Root", "ROOT")]
    assert outcomes == [0, 1]
    assert execute_sql(url, "SELECT count(*) FROM users") == [(1,)]


@pytest.mark.parametrize(
    ("login_name", "password", "message"),
    [
        (" ", PASSWORD, "login_name"),
        ("\u00a0\u3000", PASSWORD, "login_name"),
        ("x" * 65, PASSWORD, "login_name"),
        ("", PASSWORD, "login_name"),
        ("Root", "too short", "password"),
        ("Root", PASSWORD, "cannot use the database"),
    ],
)
async def test_a_problem_is_reported_in_one_line(login_name: str, password: str, message: str) -> None:
    done = await create_admin(UNREACHABLE, login_name, password)
    [line] = done.stderr.strip().splitlines()
    assert (done.exit_code, message in line, "nothing@" in line) == (1, True, False)
