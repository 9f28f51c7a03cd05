"""Administration: configuration, audit, exports, rosters and the stack itself."""

import json
import stat
import uuid
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from deploy.cli import output, prompts, roster
from deploy.cli.credentials import read, write
from deploy.stack.errors import CliError
from deploy.stack.layout import Layout
from tests import local_stack
from tests.cli.conftest import Meno, error_line


def test_a_user_is_shown_as_text_and_as_json(meno: Meno, admin: str) -> None:
    shown = meno("user", "show", "me")
    assert (admin in shown.stdout, "ADMIN" in shown.stdout) == (True, True)
    assert json.loads(meno("user", "show", "me", "--json").stdout)["loginName"] == admin
    assert "USER_NOT_FOUND" in error_line(meno("user", "show", str(uuid.uuid4())))


def test_configuration_values_are_typed_and_can_be_reset(meno: Meno, admin: str) -> None:
    assert "is now UNASSIGNED" in meno("config", "set", "signup_role", "UNASSIGNED").stdout
    assert "is now 12" in meno("config", "set", "user_purge_days", "12").stdout
    assert "is now STUDENT." in meno("config", "set", "allowed_roles", "STUDENT").stdout
    listed = {one["key"]: one["value"] for one in json.loads(meno("config", "list", "--json").stdout)}
    assert (listed["signup_role"], listed["user_purge_days"]) == ("UNASSIGNED", 12.0)
    for key in ("signup_role", "user_purge_days", "allowed_roles"):
        assert meno("config", "reset", key).exit_code == 0
    assert "STUDENT,TEACHER" in meno("config", "get", "allowed_roles").stdout


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("nothing", "1", "CONFIG_KEY_NOT_FOUND"),
        ("sign_up_enabled", "perhaps", "must be true or false, not perhaps"),
        ("user_purge_days", "many", "must be a whole number, not many"),
        ("user_purge_days", "0", "from 1 to 3650"),
        ("user_purge_days", "-1", "from 1 to 3650"),
        ("signup_role", "ADMIN", "must be one of"),
    ],
)
def test_an_invalid_value_is_rejected(meno: Meno, admin: str, key: str, value: str, message: str) -> None:
    assert message in error_line(meno("config", "set", key, value))


def test_audit_entries_are_filtered_by_only_one_option(meno: Meno, admin: str) -> None:
    done = meno("audit", "list", "--user", "me", "--class", str(uuid.uuid4()))
    assert (done.exit_code, "give only one of --user, --actor and --class" in done.stderr) == (2, True)


def test_the_audit_chain_is_verified_against_the_last_entry_seen(
    layout: Layout, meno: Meno, admin: str
) -> None:
    assert meno("config", "reset", "signup_role").exit_code == 0
    assert "CONFIG_SET" in _wait_for_config_entry(meno)
    head = layout.directory / "cli.audit.json"
    assert meno("audit", "verify", "--forget").exit_code == 0
    seen = read(head)
    assert "It contains entry" in meno("audit", "verify").stdout
    write(head, {**seen, "restored": True})
    assert "the last one of the restored backup" in meno("audit", "verify").stdout
    assert "the last one seen before" in meno("audit", "verify").stdout
    for changed in ({"sequence": seen["sequence"] + 100}, {"digest": "0" * 64}):
        write(head, {**seen, **changed})
        broken = meno("audit", "verify")
        assert (broken.exit_code, "is broken at entry" in broken.stderr) == (1, True)
    assert meno("audit", "verify", "--forget", "--json").exit_code == 0


def test_an_export_is_complete_and_readable_only_by_its_owner(meno: Meno, admin: str, tmp_path: Path) -> None:
    file = tmp_path / "me.jsonl"
    assert meno("user", "export", "me", "--output", str(file)).exit_code == 0
    lines = [json.loads(one) for one in file.read_text().splitlines()]
    services = ["identity_service", "content_service", "session_service", "chat_service"]
    assert [one["service"] for one in lines if "withheld" in one] == services
    assert admin in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [file]


def test_an_export_does_not_follow_a_symbolic_link(meno: Meno, admin: str, tmp_path: Path) -> None:
    file, foreign = tmp_path / "me.jsonl", tmp_path / "foreign"
    foreign.touch(mode=0o666)
    for name in (".me.jsonl.part", "me.jsonl"):
        (tmp_path / name).symlink_to(foreign)
    assert meno("user", "export", "me", "--output", str(file)).exit_code == 0
    assert (foreign.read_text(), file.is_symlink(), admin in file.read_text()) == ("", False, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_export_that_cannot_be_written_leaves_no_file(meno: Meno, admin: str, tmp_path: Path) -> None:
    message = error_line(meno("user", "export", "me", "--output", str(tmp_path / "nowhere" / "me.jsonl")))
    assert "cannot write" in message
    message = error_line(meno("user", "export", str(uuid.uuid4()), "--output", str(tmp_path)))
    assert "cannot write" in message
    assert [*tmp_path.iterdir()] == []


def test_an_erasure_asks_for_confirmation(meno: Meno, admin: str) -> None:
    assert "give --yes" in error_line(meno("user", "erase", "me"))
    assert meno("user", "show", "me").exit_code == 0


def test_a_directory_of_csv_files_is_a_roster(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("propertyName,value\n")
    (tmp_path / "notes.txt").write_text("not part of the roster")
    with zipfile.ZipFile(BytesIO(roster.read_archive(tmp_path))) as archive:
        assert archive.namelist() == ["manifest.csv"]


def test_an_invalid_roster_is_not_sent(tmp_path: Path) -> None:
    large = tmp_path / "large.zip"
    large.write_bytes(bytes(roster.MAX_ARCHIVE_BYTES + 1))
    for source, message in (
        (large, "the limit is 3 MiB"),
        (tmp_path, "contains no CSV"),
        (tmp_path / "no", "cannot be read"),
    ):
        with pytest.raises(CliError, match=message):
            roster.read_archive(source)


def test_names_cannot_manipulate_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b[2JAna\x9b\u202e [red]Rao[/] \\[x"
    output.print_text("[bold]{}[/] is in.", name)
    output.print_json({"name": name})
    text, *lines = capsys.readouterr().out.splitlines()
    assert text == "�[2JAna�� [red]Rao[/] \\[x is in."
    assert json.loads("\n".join(lines)) == {"name": name}
    assert not {"\x1b", "\x9b"} & {*"".join(lines)}


def _wait_for_config_entry(meno: Meno) -> str:
    """Returns the newest entries as soon as one of them is a configuration change."""
    while "CONFIG_SET" not in (shown := meno("audit", "list", "--limit", "5").stdout):
        continue
    return shown


def test_the_demo_asks_before_it_uses_a_running_stack(meno: Meno, admin: str) -> None:
    assert "give --yes" in error_line(meno("demo"))


def test_up_reports_a_stack_that_runs_at_another_port(layout: Layout, meno: Meno, admin: str) -> None:
    done = meno("up", "--port", str(local_stack.free_port()))
    assert f"Meno already runs at http://localhost:{layout.port}" in error_line(done)
    assert done.stdout == ""
    again = meno("up", "--port", str(layout.port)).stdout
    assert ("was already running" in again, "✓" in again) == (True, False)


def test_an_interrupt_at_a_prompt_changes_nothing(
    meno: Meno, admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(prompts, "require_terminal", lambda instead: None)
    monkeypatch.setattr("builtins.input", interrupted)
    done = meno("user", "delete", admin)
    assert (done.exit_code, "nothing was changed" in done.stderr) == (130, True)


def test_a_row_takes_two_lines_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = output.table("id", "name", no_wrap=("id",))
    shown.add_row(output.cell(str(uuid.uuid4())), output.cell("a long name of a class of many"))
    monkeypatch.setattr(output.console, "width", 200)
    assert output.fit_columns(shown) is shown
    monkeypatch.setattr(output.console, "width", 40)
    assert output.fit_columns(shown).row_count == 2
