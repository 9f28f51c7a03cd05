"""A backup brings everything back but who was erased since; one that cannot changes nothing."""

import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
import pytest_asyncio

from deploy.backups import manifest
from deploy.backups.manifest import Content, Manifest
from deploy.stack.errors import CliError
from deploy.stack.layout import Layout
from deploy.stack.postgres import SUPERUSER, Postgres
from deploy.stack.standalone import standalone_database
from meno.access.v1.access_pb2 import GlobalRole
from meno.chat.v1.chat_service_pb2 import AskRequest, CreateChatRequest
from meno.chat.v1.resources_pb2 import SourceMode
from meno.identity.v1.class_service_pb2 import ListClassesRequest
from meno.identity.v1.user_service_pb2 import EraseUserRequest
from meno.session.v1.session_service_pb2 import CreateSessionRequest
from tests import running
from tests.cli.conftest import Meno, line
from tests.people import Person
from tests.school import School, once_erased, once_they_study

pytestmark = pytest.mark.timeout(180)

NAME = f"Wilhelmina{uuid.uuid4().hex[:8]}"
SAID = f"why do cormorants {uuid.uuid4().hex[:8]}"


@dataclass
class Backup:
    """A backup, and who was there."""

    directory: Path
    teacher: Person
    student: Person

    @property
    def manifest(self) -> Manifest:
        return manifest.read(self.directory)


@pytest_asyncio.fixture(scope="module")
async def backup(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backup]:
    """Of people, a class with a file, a session and a chat."""
    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        school = School(layout, channel)
        teacher = await school.teacher()
        student = await Person.sign_up(channel, NAME, GlobalRole.GLOBAL_ROLE_STUDENT)
        made = await school.new_class(teacher)
        await school.join(student, made)
        await school.material(teacher, made, "# Birds\n\nCormorants dry their wings.")
        await student.sessions.CreateSession(CreateSessionRequest(user_id="me"), **student.auth)
        chat = await student.chats.CreateChat(
            CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_CLASS, class_id=made.class_id),
            **student.auth,
        )
        asked = AskRequest(user_id="me", chat_id=chat.chat_id, text=SAID)
        async for _ in student.chats.Ask(asked, **student.auth):
            pass
        await once_they_study(student)
        directory = tmp_path_factory.mktemp("backups") / "first"
        done = running.meno(layout, "backup", str(directory))
        assert done.returncode == 0, done.stderr
        yield Backup(directory, teacher, student)


async def test_what_was_changed_is_undone_but_an_erasure(
    layout: Layout, backup: Backup, meno: Meno, tmp_path: Path
) -> None:
    assert (NAME in contents(backup.directory), SAID in contents(backup.directory)) == (True, True)
    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        school = School(layout, channel)
        erase = EraseUserRequest(user_id="me", confirmation="ERASE")
        await backup.student.users.EraseUser(erase, **backup.student.auth)
        stranger = await school.teacher()
        await school.new_class(stranger)

    assert "Meno is running" in line(meno("restore", str(backup.directory)))
    done = running.meno(layout, "restore", str(backup.directory), "--yes")
    assert (done.returncode, "1 person" in done.stdout) == (0, True), done.stderr

    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        admin = await School(layout, channel).admin()
        await once_erased(admin, backup.student.tokens.user.user_id)
        for person in (backup.teacher, stranger):
            request = ListClassesRequest(user_id="me")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await admin.classes.ListClasses(request, **person.auth)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    again = tmp_path / "again"
    assert running.meno(layout, "backup", str(again)).returncode == 0
    assert differences(backup.manifest, manifest.read(again)) == EXPECTED
    assert {*manifest.read(again).stored} == {*backup.manifest.stored}
    left = contents(again)
    assert (NAME in left, NAME.lower() in left, SAID in left) == (False, False, False)
    assert manifest.read(again).erasures == [*backup.manifest.erasures, backup.student.tokens.user.user_id]


# Somebody else has become an administrator since; the erased student is not there any more.
EXPECTED = {
    "chats": -1,
    "chat_messages": -2,
    "sessions": -1,
    "activity_days": -1,
    "class_memberships": -1,
    "user_classes": -1,
    "erasures": 1,
    "erasure_receipts": 4,
    "feed_epochs": 1,
}


def test_a_byte_that_flipped_is_refused_before_anything_is_touched(
    layout: Layout, backup: Backup, meno: Meno, tmp_path: Path
) -> None:
    started = running.state(layout).supervisor
    spoilt = Path(shutil.copytree(backup.directory, tmp_path / "spoilt"))
    for file in (spoilt / "chat.dump", spoilt / manifest.NAME, next(spoilt.glob("storage/*/*"))):
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        assert "was changed since the backup" in line(meno("restore", str(spoilt), "--yes"))
        file.write_bytes(whole)
    (spoilt / "session.dump").unlink()
    assert "session.dump is missing" in line(meno("restore", str(spoilt), "--yes"))
    assert running.state(layout).supervisor == started


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """Another machine, on which nothing is yet."""
    layout = Layout(tmp_path_factory.mktemp("elsewhere"), running.free_port())
    yield layout
    Postgres(layout.directory).remove()


def test_another_machine_takes_it_and_keeps_it_where_another_restore_breaks_off(
    elsewhere: Layout, backup: Backup, tmp_path: Path
) -> None:
    done = running.meno(elsewhere, "restore", str(backup.directory), "--yes")
    assert done.returncode == 0, done.stderr
    before = records(elsewhere)
    assert before["users"] > 0
    # Its service has another secret, which does not open the keys of the backup.
    assert (before["signing_keys"], before["sign-ins that hold"]) == (0, 0)
    files = sorted(elsewhere.storage.rglob("*"))
    assert len([file for file in files if file.is_file()]) == len([*backup.manifest.stored])

    broken = Path(shutil.copytree(backup.directory, tmp_path / "broken"))
    spoil(broken, "chat.dump", b"PGDMP and nothing else")
    spoil(broken, "storage/another/file", b"of nobody")
    done = running.meno(elsewhere, "restore", str(broken), "--yes")
    assert (done.returncode, "pg_restore of chat" in done.stderr) == (1, True), done.stderr
    assert records(elsewhere) == before
    assert sorted(elsewhere.storage.rglob("*")) == files


def test_a_backup_that_does_not_hold_what_it_tells_is_refused(
    elsewhere: Layout, backup: Backup, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(backup.directory, tmp_path / "other"))
    told = manifest.read(other)
    told.databases["identity"].rows["users"] += 1
    told.write(other)
    done = running.meno(elsewhere, "restore", str(other), "--yes")
    assert (done.returncode, "rows of users" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("name", ["storage/../../secrets/identity_service", "/etc/hostname"])
def test_a_manifest_that_names_files_of_others_is_refused(tmp_path: Path, name: str) -> None:
    told = Manifest(meno="0", created="", postgres="18", files={name: Content(1, "0")})
    with pytest.raises(CliError, match="which is no file of the backup"):
        manifest.check(tmp_path, told, lambda _: None)


def test_a_backup_may_lie_beside_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "backup"):
        (tmp_path / name).mkdir()
    (tmp_path / "backup" / "file").write_text("whole")
    told = Manifest(meno="0", created="", postgres="18")
    told.files["file"] = Content(5, manifest.digest(tmp_path / "backup" / "file"))
    monkeypatch.chdir(tmp_path / "here")
    manifest.check(Path("../backup"), told, lambda _: None)
    told.files["../here/file"] = told.files["file"]
    with pytest.raises(CliError, match="which is no file of the backup"):
        manifest.check(Path("../backup"), told, lambda _: None)


def test_a_backup_of_a_later_version_is_refused(backup: Backup, meno: Meno, tmp_path: Path) -> None:
    later = Path(shutil.copytree(backup.directory, tmp_path / "later"))
    told = manifest.read(later)
    told.databases["identity"] = replace(told.databases["identity"], revision="9999")
    told.write(later)
    assert "migration 9999 of identity" in line(meno("restore", str(later), "--yes"))


def contents(directory: Path) -> str:
    """What the four dumps of a backup hold, as SQL."""
    restoring = Postgres(directory).tool("pg_restore")
    return "\n".join(
        subprocess.run([restoring, "--file=-", file], capture_output=True, text=True, check=True).stdout
        for file in sorted(directory.glob("*.dump"))
    )


def differences(before: Manifest, after: Manifest) -> dict[str, int]:
    """How many rows tables have more, of those that only people's doings change."""
    passing = {"outbox", "account_events", "audit_entries", "idempotency_keys", "answer_steps"}
    # The administrator who looked has come since.
    new = {"users", "credentials", "login_identifiers", "sign_ins", "sign_in_failures", "sign_up_requests"}
    found = {}
    for name, dumped in before.databases.items():
        for table, rows in dumped.rows.items():
            if table not in passing | new and not table.startswith("procrastinate"):
                found[table] = after.databases[name].rows[table] - rows
    return {table: more for table, more in found.items() if more}


def records(layout: Layout) -> dict[str, Any]:
    """What the database of a stack that is down has."""
    with standalone_database(layout) as postgres:
        found: dict[str, Any] = {}
        for database, table in (("identity", "users"), ("identity", "signing_keys"), ("chat", "chats")):
            with psycopg.connect(postgres.url(database, SUPERUSER)) as connection:
                found[table] = _number(connection, f"SELECT count(*) FROM {table}")
        with psycopg.connect(postgres.url("identity", SUPERUSER)) as connection:
            holding = "SELECT count(*) FROM sign_ins WHERE revoked_at IS NULL AND expires_at > now()"
            found["sign-ins that hold"] = _number(connection, holding)
            found["databases"] = connection.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()
        return found


def spoil(directory: Path, name: str, content: bytes) -> None:
    """Puts a file into a backup as if it had always been so."""
    told = manifest.read(directory)
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_bytes(content)
    told.files[name] = Content(len(content), manifest.digest(directory / name))
    told.write(directory)


def _number(connection: "psycopg.Connection[Any]", query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
