"""`meno user`."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from deploy.stack.layout import Layout
from tests import local_stack
from tests.cli.conftest import Meno, TypeAnswer, error_line


@pytest.fixture
def ana(meno: Meno, admin: str) -> dict[str, Any]:
    """A user whom an administrator created."""
    address = f"ana-{uuid.uuid4().hex[:8]}@installation.example"
    made = meno("user", "create", "Ana Rao", "--email", address, "--role", "teacher", "--json")
    found: dict[str, Any] = json.loads(made.stdout)
    return found


def test_an_account_goes_through_its_whole_life_cycle(meno: Meno, ana: dict[str, Any]) -> None:
    address = ana["email"]
    shown = json.loads(meno("user", "show", address.upper(), "--json").stdout)
    assert (shown["userId"], shown["role"]) == (ana["userId"], "GLOBAL_ROLE_TEACHER")
    for command, message in (
        (("role", address, "student"), "now has the role STUDENT"),
        (("deactivate", address), "was deactivated"),
        (("reactivate", address), "was reactivated"),
        (("delete", address, "--yes"), "was deleted"),
        (("undelete", address), "was restored"),
    ):
        done = meno("user", *command)
        assert (done.exit_code, message in done.stdout) == (0, True), done.stderr
    erased = meno("user", "erase", address, "--yes", "--wait")
    assert (erased.exit_code, "Only the id remains" in erased.stdout) == (0, True), erased.stderr
    assert meno("user", "erasure", ana["userId"], "--wait").exit_code == 0
    assert f'there is no user "{address}"' in error_line(meno("user", "show", address))


def test_users_are_listed_by_role_and_identifier(meno: Meno, ana: dict[str, Any]) -> None:
    teachers = json.loads(meno("user", "list", "--role", "TEACHER", "--limit", "0", "--json").stdout)
    assert ana["userId"] in {one["userId"] for one in teachers}
    shown = meno("user", "list", "--identifier", ana["email"]).stdout
    assert (ana["userId"] in shown, "1 user" in shown) == (True, True)
    assert meno("user", "list", "--identifier", "nobody").stdout == "No users found.\n"
    assert "there may be more" in meno("user", "list", "--limit", "1").stdout


def test_changing_ones_own_account_asks_for_confirmation(meno: Meno, admin: str) -> None:
    for command in (("deactivate", admin), ("deactivate", "me"), ("role", admin, "STUDENT")):
        assert "give --yes" in error_line(meno("user", *command))
    assert meno("user", "show", "me").exit_code == 0


def test_an_address_belongs_to_only_one_user(meno: Meno, ana: dict[str, Any]) -> None:
    assert "IDENTIFIER_TAKEN" in error_line(meno("user", "create", "Bob", "--email", ana["email"]))


def test_confirmations_name_the_user(meno: Meno, ana: dict[str, Any], type_answer: TypeAnswer) -> None:
    for command in ("delete", "erase"):
        output = type_answer("no", "user", command, ana["userId"])
        assert ("Ana Rao" in output, "nothing was changed" in output) == (True, True), output
    assert meno("user", "delete", ana["userId"], "--yes").exit_code == 0
    assert "Ana Rao" in type_answer("no", "user", "erase", ana["userId"])
    # An empty identifier must not match every user.
    assert "there is no user" in error_line(meno("user", "erase", "", "--yes"))


def test_a_promotion_takes_effect_at_the_next_call(
    layout: Layout, meno: Meno, admin: str, ana: dict[str, Any], tmp_path: Path
) -> None:
    remote = {"MENO_URL": f"http://localhost:{layout.port}", "XDG_CONFIG_HOME": str(tmp_path)}
    address = ana["email"]
    assert "a code was sent to" in error_line(meno("sign-in", address, "--code", **remote))
    while not (code := local_stack.find_one_time_code(layout, address)):
        continue
    assert meno("sign-in", address, "--code", **remote, MENO_CODE=code).exit_code == 0
    assert "You are signed in as" in error_line(meno("config", "list", **remote))
    assert meno("user", "role", address, "ADMIN").exit_code == 0
    assert meno("config", "list", **remote).exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--phone", "0123"), "--phone: must be a number with its country code"),
        (("--login-name", "-ana"), "--login-name: must consist of letters"),
    ],
)
def test_field_errors_state_the_rule(meno: Meno, admin: str, options: tuple[str, ...], message: str) -> None:
    assert message in error_line(
        meno("user", "create", "Ana", "--email", "ana@installation.example", *options)
    )
