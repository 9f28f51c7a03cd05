"""`meno backup` and `meno restore`: complete restores, repeated erasures, and rejected backups."""

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
from deploy.backups.manifest import FileInfo, Manifest
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
from tests import local_stack
from tests.cli.conftest import Meno, error_line
from tests.installation import Installation, wait_until_erased, wait_until_studied
from tests.people import Person

pytestmark = pytest.mark.timeout(600)

NAME = f"Wilhelmina{uuid.uuid4().hex[:8]}"
QUESTION = f"why do cormorants {uuid.uuid4().hex[:8]}"


@dataclass
class Backup:
    """A backup with two of its users."""

    directory: Path
    teacher: Person
    student: Person

    @property
    def manifest(self) -> Manifest:
        return manifest.read(self.directory)


@pytest_asyncio.fixture(scope="module")
async def backup(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backup]:
    """A backup of users, a class with a file, a session and a chat."""
    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        installation = Installation(layout, channel)
        teacher = await installation.sign_up_teacher()
        student = await Person.sign_up(channel, NAME, GlobalRole.GLOBAL_ROLE_STUDENT)
        made = await installation.create_class(teacher)
        await installation.join_class(student, made)
        await installation.upload_material(teacher, made, "# Birds\n\nCormorants dry their wings.")
        await student.sessions.CreateSession(CreateSessionRequest(user_id="me"), **student.auth)
        chat = await student.chats.CreateChat(
            CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_CLASS, class_id=made.class_id),
            **student.auth,
        )
        asked = AskRequest(user_id="me", chat_id=chat.chat_id, text=QUESTION)
        async for _ in student.chats.Ask(asked, **student.auth):
            pass
        await wait_until_studied(student)
        directory = tmp_path_factory.mktemp("backups") / "first"
        done = local_stack.run_meno(layout, "backup", str(directory))
        assert done.returncode == 0, done.stderr
        yield Backup(directory, teacher, student)


async def test_a_restore_undoes_all_changes_except_erasures(
    layout: Layout, backup: Backup, meno: Meno, tmp_path: Path
) -> None:
    assert (NAME in contents(backup.directory), QUESTION in contents(backup.directory)) == (True, True)
    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        installation = Installation(layout, channel)
        erase = EraseUserRequest(user_id="me", confirmation="ERASE")
        await backup.student.users.EraseUser(erase, **backup.student.auth)
        new_teacher = await installation.sign_up_teacher()
        await installation.create_class(new_teacher)

    assert "Meno is running" in error_line(meno("restore", str(backup.directory)))
    done = local_stack.run_meno(layout, "restore", str(backup.directory), "--yes")
    assert (done.returncode, "1 user was" in done.stdout) == (0, True), done.stderr

    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        admin = await Installation(layout, channel).create_admin()
        await wait_until_erased(admin, backup.student.tokens.user.user_id)
        for person in (backup.teacher, new_teacher):
            request = ListClassesRequest(user_id="me")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await admin.classes.ListClasses(request, **person.auth)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    again = tmp_path / "again"
    assert local_stack.run_meno(layout, "backup", str(again)).returncode == 0
    assert differences(backup.manifest, manifest.read(again)) == EXPECTED
    assert {*manifest.read(again).stored_files} == {*backup.manifest.stored_files}
    text = contents(again)
    assert (NAME in text, NAME.lower() in text, QUESTION in text) == (False, False, False)
    assert manifest.read(again).erasures == [*backup.manifest.erasures, backup.student.tokens.user.user_id]


# The differences: a new administrator, and the erased student.
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


def test_a_changed_byte_is_rejected_before_anything_is_changed(
    layout: Layout, backup: Backup, meno: Meno, tmp_path: Path
) -> None:
    started = local_stack.load_state(layout).supervisor
    damaged = Path(shutil.copytree(backup.directory, tmp_path / "damaged"))
    for file in (damaged / "chat.dump", damaged / manifest.NAME, next(damaged.glob("storage/*/*"))):
        original = file.read_bytes()
        middle = len(original) // 2
        file.write_bytes(original[:middle] + bytes([original[middle] ^ 1]) + original[middle + 1 :])
        assert "was changed after the backup" in error_line(meno("restore", str(damaged), "--yes"))
        file.write_bytes(original)
    (damaged / "session.dump").unlink()
    assert "session.dump is missing" in error_line(meno("restore", str(damaged), "--yes"))
    assert local_stack.load_state(layout).supervisor == started


@pytest.fixture(scope="module")
def other_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """An empty stack, as on another machine."""
    layout = Layout(tmp_path_factory.mktemp("other"), local_stack.free_port())
    yield layout
    Postgres(layout.directory).remove()


def test_another_machine_restores_a_backup_and_keeps_it_if_the_next_restore_fails(
    other_machine: Layout, backup: Backup, tmp_path: Path
) -> None:
    done = local_stack.run_meno(other_machine, "restore", str(backup.directory), "--yes")
    assert done.returncode == 0, done.stderr
    before = records(other_machine)
    assert before["users"] > 0
    # The other service has a different secret, which cannot decrypt the keys of the backup.
    assert (before["signing_keys"], before["valid sign-ins"]) == (0, 0)
    files = sorted(other_machine.storage.rglob("*"))
    assert len([file for file in files if file.is_file()]) == len([*backup.manifest.stored_files])

    broken = Path(shutil.copytree(backup.directory, tmp_path / "broken"))
    replace_file(broken, "chat.dump", b"PGDMP and nothing else")
    replace_file(broken, "storage/another/file", b"unknown")
    done = local_stack.run_meno(other_machine, "restore", str(broken), "--yes")
    assert (done.returncode, "pg_restore of chat" in done.stderr) == (1, True), done.stderr
    assert records(other_machine) == before
    assert sorted(other_machine.storage.rglob("*")) == files


def test_a_backup_that_differs_from_its_manifest_is_rejected(
    other_machine: Layout, backup: Backup, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(backup.directory, tmp_path / "other"))
    listed = manifest.read(other)
    listed.databases["identity"].rows["users"] += 1
    listed.write(other)
    done = local_stack.run_meno(other_machine, "restore", str(other), "--yes")
    assert (done.returncode, "rows of users" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("name", ["storage/../../secrets/identity_service", "/etc/hostname"])
def test_a_manifest_that_lists_files_outside_the_backup_is_rejected(tmp_path: Path, name: str) -> None:
    listed = Manifest(meno="0", created="", postgres="18", files={name: FileInfo(1, "0")})
    with pytest.raises(CliError, match="which is not a file of the backup"):
        manifest.verify_files(tmp_path, listed, lambda _: None)


@pytest.mark.parametrize("name", ["storage//a/file", "storage/./a/file", "storage/a/file/", "storage//"])
def test_a_resealed_manifest_with_an_ambiguous_path_is_rejected(tmp_path: Path, name: str) -> None:
    (tmp_path / "storage" / "a").mkdir(parents=True)
    (tmp_path / "storage" / "a" / "file").write_text("whole")
    content = FileInfo(5, manifest.digest(tmp_path / "storage" / "a" / "file"))
    Manifest(meno="0", created="", postgres="18", files={name: content}).write(tmp_path)
    with pytest.raises(CliError, match="which is not a file of the backup"):
        manifest.verify_files(tmp_path, manifest.read(tmp_path), lambda _: None)


def test_a_backup_may_be_in_a_sibling_of_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "backup"):
        (tmp_path / name).mkdir()
    (tmp_path / "backup" / "file").write_text("whole")
    listed = Manifest(meno="0", created="", postgres="18")
    listed.files["file"] = FileInfo(5, manifest.digest(tmp_path / "backup" / "file"))
    monkeypatch.chdir(tmp_path / "here")
    manifest.verify_files(Path("../backup"), listed, lambda _: None)
    listed.files["../here/file"] = listed.files["file"]
    with pytest.raises(CliError, match="which is not a file of the backup"):
        manifest.verify_files(Path("../backup"), listed, lambda _: None)


def test_a_backup_of_a_later_version_is_rejected(backup: Backup, meno: Meno, tmp_path: Path) -> None:
    later = Path(shutil.copytree(backup.directory, tmp_path / "later"))
    listed = manifest.read(later)
    listed.databases["identity"] = replace(listed.databases["identity"], revision="9999")
    listed.write(later)
    assert "migration 9999 of identity" in error_line(meno("restore", str(later), "--yes"))


def contents(directory: Path) -> str:
    """Returns the contents of the four dumps of a backup as SQL."""
    pg_restore = Postgres(directory).tool("pg_restore")
    return "\n".join(
        subprocess.run([pg_restore, "--file=-", file], capture_output=True, text=True, check=True).stdout
        for file in sorted(directory.glob("*.dump"))
    )


def differences(before: Manifest, after: Manifest) -> dict[str, int]:
    """Returns the difference in rows of each table that only users change."""
    background = {"outbox", "account_events", "audit_entries", "idempotency_keys", "answer_steps"}
    # The administrator of the test has signed up since.
    new = {"users", "credentials", "login_identifiers", "sign_ins", "sign_in_failures", "sign_up_requests"}
    found = {}
    for name, dumped in before.databases.items():
        for table, rows in dumped.rows.items():
            if table not in background | new and not table.startswith("procrastinate"):
                found[table] = after.databases[name].rows[table] - rows
    return {table: more for table, more in found.items() if more}


def records(layout: Layout) -> dict[str, Any]:
    """Returns the number of rows in some tables, and all databases, of a stopped stack."""
    with standalone_database(layout) as postgres:
        found: dict[str, Any] = {}
        for database, table in (("identity", "users"), ("identity", "signing_keys"), ("chat", "chats")):
            with psycopg.connect(postgres.url(database, SUPERUSER)) as connection:
                found[table] = _number(connection, f"SELECT count(*) FROM {table}")
        with psycopg.connect(postgres.url("identity", SUPERUSER)) as connection:
            query = "SELECT count(*) FROM sign_ins WHERE revoked_at IS NULL AND expires_at > now()"
            found["valid sign-ins"] = _number(connection, query)
            found["databases"] = connection.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()
        return found


def replace_file(directory: Path, name: str, content: bytes) -> None:
    """Replaces a file of a backup and its entry in the manifest."""
    listed = manifest.read(directory)
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_bytes(content)
    listed.files[name] = FileInfo(len(content), manifest.digest(directory / name))
    listed.write(directory)


def _number(connection: "psycopg.Connection[Any]", query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
