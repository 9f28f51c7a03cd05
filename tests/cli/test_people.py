"""People, from the command line."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from deploy.stack.layout import Layout
from tests import running
from tests.cli.conftest import Meno, Typing, line


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
    assert f'nobody signs in as "{address}"' in line(meno("user", "show", address))


def test_people_are_listed_by_role_and_name(meno: Meno, ana: dict[str, Any]) -> None:
    teachers = json.loads(meno("user", "list", "--role", "TEACHER", "--limit", "0", "--json").stdout)
    assert ana["userId"] in {one["userId"] for one in teachers}
    shown = meno("user", "list", "--identifier", ana["email"]).stdout
    assert (ana["userId"] in shown, "1 person" in shown) == (True, True)
    assert meno("user", "list", "--identifier", "nobody").stdout == "There is no person.\n"
    assert "there may be more" in meno("user", "list", "--limit", "1").stdout


def test_who_would_lock_themselves_out_is_asked(meno: Meno, admin: str) -> None:
    for command in (("deactivate", admin), ("deactivate", "me"), ("role", admin, "STUDENT")):
        assert "give --yes" in line(meno("user", *command))
    assert meno("user", "show", "me").exit_code == 0


def test_an_address_is_somebodys_once(meno: Meno, ana: dict[str, Any]) -> None:
    assert "IDENTIFIER_TAKEN" in line(meno("user", "create", "Bob", "--email", ana["email"]))


def test_what_is_asked_names_the_person(meno: Meno, ana: dict[str, Any], typing: Typing) -> None:
    for command in ("delete", "erase"):
        said = typing("no", "user", command, ana["userId"])
        assert ("Ana Rao" in said, "nothing was changed" in said) == (True, True), said
    assert meno("user", "delete", ana["userId"], "--yes").exit_code == 0
    assert "Ana Rao" in typing("no", "user", "erase", ana["userId"])
    # Everybody would be found by nothing.
    assert "nobody signs in as" in line(meno("user", "erase", "", "--yes"))


def test_a_promotion_counts_from_the_next_call_on(
    layout: Layout, meno: Meno, admin: str, ana: dict[str, Any], tmp_path: Path
) -> None:
    elsewhere = {"MENO_URL": f"http://localhost:{layout.port}", "XDG_CONFIG_HOME": str(tmp_path)}
    address = ana["email"]
    assert "a code was sent to" in line(meno("sign-in", address, "--code", **elsewhere))
    while not (code := running.code_sent(layout, address)):
        continue
    assert meno("sign-in", address, "--code", **elsewhere, MENO_CODE=code).exit_code == 0
    assert "You are signed in as" in line(meno("config", "list", **elsewhere))
    assert meno("user", "role", address, "ADMIN").exit_code == 0
    assert meno("config", "list", **elsewhere).exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--phone", "0123"), "--phone: a number with its country"),
        (("--login-name", "-ana"), "--login-name: 3 to 64 letters"),
    ],
)
def test_a_rule_is_told_in_words(meno: Meno, admin: str, options: tuple[str, ...], said: str) -> None:
    assert said in line(meno("user", "create", "Ana", "--email", "ana@school.example", *options))
