"""`meno doctor`."""

import json
from pathlib import Path

import psycopg

from deploy.doctor import machine, records
from deploy.doctor.findings import Status
from deploy.stack.layout import Layout
from deploy.stack.postgres import Postgres
from deploy.stack.stack import Stack
from tests import local_stack
from tests.cli.conftest import Meno


def test_a_running_stack_has_no_problems(meno: Meno, layout: Layout) -> None:
    done = meno("doctor", "--json")
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert {one["name"] for one in found.values() if one["status"] != "ok"} == set()
    assert done.exit_code == 0
    expected = {"chat_service", "gateway", "tokens", "migrations", "outboxes", "account feed", "audit chain"}
    assert expected <= found.keys()


def test_checks_that_need_a_running_stack_are_skipped(tmp_path: Path) -> None:
    done = local_stack.run_meno(Layout(tmp_path / "stack"), "doctor")
    assert (done.returncode, "the stack is not running" in done.stdout) == (0, True)
    assert not (tmp_path / "stack").exists()


def test_secrets_that_other_users_can_read_are_found(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "stack")
    layout.prepare()
    layout.secret("chat_service")
    (layout.directory / "secrets" / "chat_service").chmod(0o644)
    [finding] = [one for one in machine.run_checks(layout, None) if one.name == "secrets"]
    assert (finding.status, "chmod" in finding.hint) == (Status.PROBLEM, True)


def test_processes_unknown_to_the_supervisor_are_found(layout: Layout) -> None:
    state = local_stack.load_state(layout)
    gateway = state.programs.pop("gateway")
    [finding] = [one for one in machine.run_checks(layout, state) if one.name == "processes"]
    assert (finding.status, str(gateway.pid) in finding.hint) == (Status.PROBLEM, True)


def test_stuck_messages_and_old_keys_are_found(layout: Layout) -> None:
    stack, postgres = Stack.running(layout, local_stack.load_state(layout)), Postgres(layout.directory)
    opened = {
        access.database: psycopg.connect(postgres.url(access.database, access.owner))
        for access in stack.accesses
    }
    # Never committed, so that no service acts on these rows.
    identity = opened["identity"]
    opened["chat"].execute(
        "INSERT INTO outbox (kind, body, created_at) VALUES ('audit_entry', '{}', now() - interval '1 h')"
    )
    identity.execute(
        "INSERT INTO account_events (sequence, kind, body, permanent, created_at) "
        "VALUES (1000000, 'user_erased', '{}', true, now() - interval '1 h')"
    )
    identity.execute("UPDATE signing_keys SET signs_from = now() - interval '3 years'")
    found = {
        one.name: one
        for one in (records.outboxes(opened), records.feed(opened), records.signing_key(identity))
    }
    for connection in opened.values():
        connection.rollback()
        connection.close()
    assert {one.status for one in found.values()} == {Status.PROBLEM}
    assert "chat: 1" in found["outboxes"].detail
    assert "behind: content, session, chat" in found["account feed"].detail
