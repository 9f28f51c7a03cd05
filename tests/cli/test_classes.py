"""`meno class`."""

import json
import uuid
from pathlib import Path

from deploy.stack.layout import ROOT
from tests.cli.conftest import Meno, TypeAnswer, error_line

MANIFEST = """propertyName,value
manifest.version,1.0
oneroster.version,1.2
file.orgs,absent
file.users,bulk
file.roles,bulk
file.classes,bulk
file.enrollments,bulk
"""
USERS = "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName,email,phone,grades\n"
ROLES = "sourcedId,status,dateLastModified,userSourcedId,roleType,role,orgSourcedId\n"
CLASSES = "sourcedId,status,dateLastModified,title,courseSourcedId,classType,schoolSourcedId,termSourcedIds\n"
ENROLLMENTS = "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role\n"


def test_a_class_goes_through_its_whole_life_cycle(meno: Meno, admin: str) -> None:
    made = json.loads(meno("class", "create", "Algebra", "--joining", "approval", "--json").stdout)
    class_id = made["classId"]
    # The command has refreshed the token, which now has the right to see the code.
    assert made["joinCode"] in meno("class", "show", class_id).stdout
    for command, state in (
        ("archive", "ARCHIVED"),
        ("unarchive", "ACTIVE"),
        ("delete", "DELETED"),
        ("undelete", "ACTIVE"),
    ):
        confirmation = ("--yes",) if command == "delete" else ()
        changed = json.loads(meno("class", command, class_id, *confirmation, "--json").stdout)
        assert changed["state"] == f"CLASS_STATE_{state}"
        assert (class_id in meno("class", "list").stdout) is (state != "DELETED")
        assert class_id in meno("class", "list", "--deleted").stdout
    assert "has a new join code" in meno("class", "rotate-code", class_id).stdout
    assert class_id in meno("class", "list", "--of", "me").stdout


def test_members_are_listed_added_and_removed(meno: Meno, admin: str, type_answer: TypeAnswer) -> None:
    class_id = json.loads(meno("class", "create", "Algebra", "--json").stdout)["classId"]
    [teacher] = json.loads(meno("class", "members", class_id, "--json").stdout)
    assert meno("class", "members", class_id, "--waiting").stdout == "No pending members.\n"
    for options in ((), ("--role", "teacher")):
        again = meno("class", "add", class_id, "me", *options)
        assert "is already TEACHER in Algebra" in again.stdout
    ana = json.loads(meno("user", "create", "Ana", "--email", address(), "--json").stdout)["userId"]
    for role, message in (
        ("student", "Ana was added to Algebra as STUDENT"),
        ("teacher", "Ana is now TEACHER in Algebra."),
        ("teacher", "Ana is already TEACHER in Algebra."),
    ):
        assert message in meno("class", "add", class_id, ana, "--role", role).stdout
    assert "Remove Ana from Algebra?" in type_answer("no", "class", "remove", class_id, ana)
    assert "Delete Algebra for all its members?" in type_answer("no", "class", "delete", class_id)
    assert "Ana was removed from Algebra." in meno("class", "remove", class_id, ana, "--yes").stdout
    assert "LAST_TEACHER" in error_line(meno("class", "remove", class_id, teacher["userId"], "--yes"))
    assert "give --yes" in error_line(meno("class", "remove", class_id, "me"))


def test_a_class_is_joined_with_its_code(meno: Meno, admin: str) -> None:
    made = json.loads(meno("class", "create", "Algebra", "--json").stdout)
    assert "You joined Algebra as TEACHER." in meno("class", "join", made["joinCode"]).stdout
    assert "JOIN_CODE_NOT_FOUND" in error_line(meno("class", "join", "NONE-0000"))


def test_a_roster_is_applied_after_a_confirmation(meno: Meno, admin: str, tmp_path: Path) -> None:
    write_roster(tmp_path, email="no address")
    invalid = meno("class", "import-roster", str(tmp_path), "--yes")
    assert (invalid.exit_code, "users.csv:2" in invalid.stdout) == (1, True)
    write_roster(tmp_path, email="")
    compared = meno("class", "import-roster", str(tmp_path), "--dry-run")
    assert (compared.exit_code, "enrollments.csv:2" in compared.stdout) == (0, True)
    unconfirmed = meno("class", "import-roster", str(tmp_path))
    assert (unconfirmed.exit_code, "give --yes" in unconfirmed.stderr) == (1, True)
    assert "was applied" in meno("class", "import-roster", str(tmp_path), "--yes").stdout
    assert "already matches the roster" in meno("class", "import-roster", str(tmp_path), "--yes").stdout


def test_the_example_in_the_docs_is_a_valid_roster(meno: Meno, admin: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "rosters.md").read_text()
    example = text.partition("# manifest.csv")[1:]
    for file in "".join(example).partition("```")[0].split("# ")[1:]:
        name, _, content = file.partition("\n")
        (tmp_path / name).write_text(content)
    compared = json.loads(meno("class", "import-roster", str(tmp_path), "--dry-run", "--json").stdout)
    counts = {name: (compared[name]["added"], compared[name]["invalid"]) for name in ("users", "classes")}
    assert counts == {"users": (2, 0), "classes": (1, 0)}
    assert (compared["enrollments"]["added"], compared["enrollments"]["invalid"]) == (2, 0)


def address() -> str:
    """Returns a new e-mail address."""
    return f"{uuid.uuid4().hex}@installation.example"


def write_roster(directory: Path, email: str) -> None:
    """Writes a roster of one class with its teacher."""
    for name, content in {
        "manifest": MANIFEST,
        "users": f"{USERS}t,,,true,,Emmy,Noether,{email},,\n",
        "roles": f"{ROLES}r,,,t,primary,teacher,\n",
        "classes": f"{CLASSES}c,,,Geometry,,scheduled,,\n",
        "enrollments": f"{ENROLLMENTS}e,,,c,,t,teacher\n",
    }.items():
        (directory / f"{name}.csv").write_text(content)
