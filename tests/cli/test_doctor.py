"""What the doctor finds, and that it finds it."""

import json
from pathlib import Path

import psycopg

from deploy.doctor import machine, records
from deploy.doctor.findings import Mark
from deploy.stack.layout import Layout
from deploy.stack.postgres import Postgres
from deploy.stack.stack import Stack
from tests import running
from tests.cli.conftest import Meno


def test_nothing_is_wrong_with_a_stack_that_runs(meno: Meno, layout: Layout) -> None:
    done = meno("doctor", "--json")
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert {one["what"] for one in found.values() if one["mark"] != "good"} == set()
    assert done.exit_code == 0
    expected = {"chat_service", "gateway", "tokens", "migrations", "outboxes", "account feed", "audit chain"}
    assert expected <= found.keys()


def test_a_stack_that_is_down_is_examined_as_far_as_that_goes(tmp_path: Path) -> None:
    done = running.meno(Layout(tmp_path / "stack"), "doctor")
    assert (done.returncode, "the stack is down" in done.stdout) == (0, True)
    assert not (tmp_path / "stack").exists()


def test_secrets_that_others_may_read_are_found(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "stack")
    layout.prepare()
    layout.secret("chat_service")
    (layout.directory / "secrets" / "chat_service").chmod(0o644)
    [finding] = [one for one in machine.examine(layout, None) if one.what == "secrets"]
    assert (finding.mark, "chmod" in finding.hint) == (Mark.WRONG, True)


def test_processes_that_the_supervisor_does_not_know_are_found(layout: Layout) -> None:
    state = running.state(layout)
    gateway = state.programs.pop("gateway")
    [finding] = [one for one in machine.examine(layout, state) if one.what == "processes"]
    assert (finding.mark, str(gateway.pid) in finding.hint) == (Mark.WRONG, True)


def test_what_lies_in_the_records_too_long_is_found(layout: Layout) -> None:
    stack, postgres = Stack.running(layout, running.state(layout)), Postgres(layout.directory)
    opened = {
        access.database: psycopg.connect(postgres.url(access.database, access.owner))
        for access in stack.accesses
    }
    # Seen by this transaction alone, so that nobody delivers, follows or signs what is not there.
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
        one.what: one
        for one in (records.outboxes(opened), records.feed(opened), records.signing_key(identity))
    }
    for connection in opened.values():
        connection.rollback()
        connection.close()
    assert {one.mark for one in found.values()} == {Mark.WRONG}
    assert "chat: 1" in found["outboxes"].detail
    assert "content, session, chat behind" in found["account feed"].detail
