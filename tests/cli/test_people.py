"""People, from the command line."""

import json
import uuid
from typing import Any

import pytest

from tests.cli.conftest import Meno, line


@pytest.fixture
def ana(meno: Meno, admin: str) -> dict[str, Any]:
    """Somebody for whom an account was made."""
    address = f"ana-{uuid.uuid4().hex[:8]}@school.example"
    made = meno("user", "create", "Ana Rao", "--email", address, "--role", "teacher", "--json")
    found: dict[str, Any] = json.loads(made.stdout)
    return found


def test_an_account_from_its_making_to_its_end(meno: Meno, ana: dict[str, Any]) -> None:
    address = ana["email"]
    shown = json.loads(meno("user", "show", address.upper(), "--json").stdout)
    assert (shown["userId"], shown["role"]) == (ana["userId"], "GLOBAL_ROLE_TEACHER")
    for command, said in (
        (("role", address, "student"), "is STUDENT now"),
        (("deactivate", address), "is shut out"),
        (("reactivate", address), "is let in again"),
        (("delete", address, "--yes"), "is deleted"),
        (("undelete", address), "is restored"),
    ):
        done = meno("user", *command)
        assert (done.exit_code, said in done.stdout) == (0, True), done.stderr
    erased = meno("user", "erase", address, "--yes", "--wait")
    assert (erased.exit_code, "Nothing is left of" in erased.stdout) == (0, True), erased.stderr
    assert meno("user", "erasure", ana["userId"], "--wait").exit_code == 0
    assert f"nobody has the name {address}" in line(meno("user", "show", address))


def test_people_are_listed_by_role_and_name(meno: Meno, ana: dict[str, Any]) -> None:
    teachers = json.loads(meno("user", "list", "--role", "TEACHER", "--limit", "0", "--json").stdout)
    assert ana["userId"] in {one["userId"] for one in teachers}
    shown = meno("user", "list", "--identifier", ana["email"]).stdout
    assert (ana["userId"] in shown, "1 person" in shown) == (True, True)
    assert meno("user", "list", "--identifier", "nobody").stdout == "There is no person.\n"
    assert "there may be more" in meno("user", "list", "--limit", "1").stdout


def test_who_would_lock_themselves_out_is_asked(meno: Meno, admin: str) -> None:
    for command in (("deactivate", admin), ("role", admin, "STUDENT")):
        assert "give --yes" in line(meno("user", *command))
    assert meno("user", "show", "me").exit_code == 0


def test_an_address_is_somebodys_once(meno: Meno, ana: dict[str, Any]) -> None:
    assert "IDENTIFIER_TAKEN" in line(meno("user", "create", "Bob", "--email", ana["email"]))
