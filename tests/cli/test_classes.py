"""Classes and rosters, from the command line."""

import json
import uuid
from pathlib import Path

from deploy.stack.layout import ROOT
from tests.cli.conftest import Meno, Typing, line

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


def test_a_class_from_its_beginning_to_its_end(meno: Meno, admin: str) -> None:
    made = json.loads(meno("class", "create", "Algebra", "--joining", "approval", "--json").stdout)
    class_id = made["classId"]
    # The right to see the code came with the class: the next token has it.
    assert made["joinCode"] in meno("class", "show", class_id).stdout
    for command, state in (
        ("archive", "ARCHIVED"),
        ("unarchive", "ACTIVE"),
        ("delete", "DELETED"),
        ("undelete", "ACTIVE"),
    ):
        asked = ("--yes",) if command == "delete" else ()
        changed = json.loads(meno("class", command, class_id, *asked, "--json").stdout)
        assert changed["state"] == f"CLASS_STATE_{state}"
        assert (class_id in meno("class", "list").stdout) is (state != "DELETED")
        assert class_id in meno("class", "list", "--deleted").stdout
    assert "to join it now" in meno("class", "rotate-code", class_id).stdout
    assert class_id in meno("class", "list", "--of", "me").stdout


def test_members_are_listed_added_and_removed(meno: Meno, admin: str, typing: Typing) -> None:
    class_id = json.loads(meno("class", "create", "Algebra", "--json").stdout)["classId"]
    [teacher] = json.loads(meno("class", "members", class_id, "--json").stdout)
    assert meno("class", "members", class_id, "--waiting").stdout == "Nobody waits.\n"
    for asked in ((), ("--role", "teacher")):
        again = meno("class", "add", class_id, "me", *asked)
        assert "is TEACHER in Algebra already" in again.stdout
    ana = json.loads(meno("user", "create", "Ana", "--email", address(), "--json").stdout)["userId"]
    for role, said in (
        ("student", "Ana is in Algebra as STUDENT"),
        ("teacher", "Ana is TEACHER in Algebra now."),
        ("teacher", "Ana is TEACHER in Algebra already."),
    ):
        assert said in meno("class", "add", class_id, ana, "--role", role).stdout
    assert "Remove Ana from Algebra?" in typing("no", "class", "remove", class_id, ana)
    assert "Delete Algebra, for all its members?" in typing("no", "class", "delete", class_id)
    assert "Ana is not in Algebra any more." in meno("class", "remove", class_id, ana, "--yes").stdout
    assert "LAST_TEACHER" in line(meno("class", "remove", class_id, teacher["userId"], "--yes"))
    assert "give --yes" in line(meno("class", "remove", class_id, "me"))


def test_a_class_is_joined_with_its_code(meno: Meno, admin: str) -> None:
    made = json.loads(meno("class", "create", "Algebra", "--json").stdout)
    assert "You are TEACHER in Algebra." in meno("class", "join", made["joinCode"]).stdout
    assert "JOIN_CODE_NOT_FOUND" in line(meno("class", "join", "NONE-0000"))


def test_a_roster_is_compared_asked_for_and_applied(meno: Meno, admin: str, tmp_path: Path) -> None:
    write(tmp_path, email="no address")
    faulty = meno("class", "import-roster", str(tmp_path), "--yes")
    assert (faulty.exit_code, "users.csv:2" in faulty.stdout) == (1, True)
    write(tmp_path, email="")
    compared = meno("class", "import-roster", str(tmp_path), "--dry-run")
    assert (compared.exit_code, "enrollments.csv:2" in compared.stdout) == (0, True)
    unasked = meno("class", "import-roster", str(tmp_path))
    assert (unasked.exit_code, "give --yes" in unasked.stderr) == (1, True)
    assert "is applied" in meno("class", "import-roster", str(tmp_path), "--yes").stdout
    assert "as the roster has it" in meno("class", "import-roster", str(tmp_path), "--yes").stdout


def test_the_roster_that_the_docs_have_is_one(meno: Meno, admin: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "rosters.md").read_text()
    example = text.partition("# manifest.csv")[1:]
    for file in "".join(example).partition("```")[0].split("# ")[1:]:
        name, _, content = file.partition("\n")
        (tmp_path / name).write_text(content)
    compared = json.loads(meno("class", "import-roster", str(tmp_path), "--dry-run", "--json").stdout)
    told = {name: (compared[name]["added"], compared[name]["faulty"]) for name in ("users", "classes")}
    assert told == {"users": (2, 0), "classes": (1, 0)}
    assert (compared["enrollments"]["added"], compared["enrollments"]["faulty"]) == (2, 0)


def address() -> str:
    """An e-mail address that nobody has."""
    return f"{uuid.uuid4().hex}@school.example"


def write(directory: Path, email: str) -> None:
    """A roster of one class with its teacher."""
    for name, content in {
        "manifest": MANIFEST,
        "users": f"{USERS}t,,,true,,Emmy,Noether,{email},,\n",
        "roles": f"{ROLES}r,,,t,primary,teacher,\n",
        "classes": f"{CLASSES}c,,,Geometry,,scheduled,,\n",
        "enrollments": f"{ENROLLMENTS}e,,,c,,t,teacher\n",
    }.items():
        (directory / f"{name}.csv").write_text(content)
