"""Checks of the data: migrations, signing key, outboxes, account feed and audit chain."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from deploy.backups import databases
from deploy.doctor.findings import Finding, check, check_clock, ok, problem, skipped
from deploy.stack.layout import ROOT
from deploy.stack.postgres import Access, Postgres
from deploy.stack.stack import Stack

AUDIT_ENTRIES = 1000
"""The number of newest entries that are verified. `meno audit verify` verifies all."""

_MAX_DELAY = timedelta(minutes=2)
"""Longer than the longest retry delay of the outbox, so that an older message is stuck."""
_MAX_KEY_AGE = timedelta(days=100)
"""Longer than a key is used, so that an older key means that key rotation has stopped."""

Connections = dict[str, "psycopg.Connection[Any]"]
"""Connections by the name of the database."""


def run_checks(stack: Stack, postgres: Postgres) -> Iterator[Finding]:
    """Yields the findings about the running database."""
    try:
        opened = {
            access.database: psycopg.connect(
                postgres.url(access.database, access.owner), autocommit=True, connect_timeout=3
            )
            for access in stack.accesses
        }
    except psycopg.OperationalError as error:
        message = str(error).strip().splitlines()[0]
        hint = "see `meno logs postgres`, then run `meno down` and `meno up`"
        yield problem("PostgreSQL", f"does not answer: {message}", hint)
        return
    try:
        yield from _check_databases(stack, opened)
    except psycopg.Error as error:
        yield problem("records", str(error).strip().splitlines()[0], "see `meno logs postgres`")
    finally:
        for connection in opened.values():
            connection.close()
    yield _interrupted_restores(postgres, stack.accesses)


def _check_databases(stack: Stack, opened: Connections) -> Iterator[Finding]:
    identity = opened["identity"]
    yield ok("PostgreSQL", identity.info.parameter_status("server_version"))
    yield _clock(identity)
    outdated = [one for one in stack.accesses if not _is_current(one, opened[one.database])]
    for access in outdated:
        yield problem(
            "migrations", f"{access.database} is outdated", "run `meno down` and `meno up`, which migrates it"
        )
    if outdated:
        return
    yield ok("migrations", "all databases are current")
    yield signing_key(identity)
    yield outboxes(opened)
    yield feed(opened)
    yield _audit(stack)


def _clock(connection: "psycopg.Connection[Any]") -> Finding:
    (database_time,) = _fetch_row(connection, "SELECT clock_timestamp()")
    difference = abs((datetime.now(UTC) - database_time).total_seconds())
    return check_clock("clock", f"differs from the clock of the database by {difference:.1f} s", difference)


def _is_current(access: Access, connection: "psycopg.Connection[Any]") -> bool:
    _, latest = databases.known_revisions(access.server)
    return (
        databases.has_table(connection, "alembic_version")
        and databases.current_revision(connection) == latest
    )


def signing_key(connection: "psycopg.Connection[Any]") -> Finding:
    """Checks that there is an active signing key, and that it is not too old."""
    found = connection.execute(
        "SELECT signs_from, now() - signs_from FROM signing_keys "
        "WHERE signs_from <= now() AND retired_at IS NULL ORDER BY signs_from DESC LIMIT 1"
    ).fetchone()
    if found is None:
        return problem(
            "signing key", "no active signing key", "run `meno down` and `meno up`, which creates one"
        )
    since, age = found
    detail = f"active since {since:%Y-%m-%d} ({age.days} days)"
    hint = "key rotation has stopped: see `meno logs identity_service`"
    return check("signing key", detail, hint, passed=age < _MAX_KEY_AGE)


def outboxes(opened: Connections) -> Finding:
    """Checks that no outbox has a message that is stuck."""
    stuck, waiting = [], 0
    for name, connection in opened.items():
        count, age = _fetch_row(
            connection, "SELECT count(*), coalesce(now() - min(created_at), interval '0') FROM outbox"
        )
        waiting += count
        if age > _MAX_DELAY:
            stuck.append(f"{name}: {count}, the oldest for {age.total_seconds() / 60:.0f} min")
    hint = "look for outbox_not_delivered in `meno logs`, which gives the reason"
    return check("outboxes", "; ".join(stuck) or f"{waiting} pending messages", hint, passed=not stuck)


def feed(opened: Connections) -> Finding:
    """Checks that every service has applied the latest erasure."""
    identity = opened["identity"]
    (epoch,) = _fetch_row(identity, "SELECT epoch FROM feed_epochs ORDER BY epoch DESC LIMIT 1")
    last = identity.execute(
        "SELECT sequence, now() - created_at FROM account_events WHERE kind = 'user_erased' "
        "ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    if last is None or last[1] < _MAX_DELAY:
        return ok("account feed", "no pending erasure" if last is None else "an erasure is in progress")
    behind = []
    for name, connection in opened.items():
        if databases.has_table(connection, "feed_cursor"):
            followed, sequence = _fetch_row(connection, "SELECT epoch, sequence FROM feed_cursor")
            if followed != epoch or sequence < last[0]:
                behind.append(name)
    hint = "look for account_events_not_applied in `meno logs`, which gives the reason"
    detail = f"behind: {', '.join(behind)}" if behind else "all services are up to date"
    return check("account feed", detail, hint, passed=not behind)


def _audit(stack: Stack) -> Finding:
    done = subprocess.run(
        [sys.executable, "-m", "identity_service", "verify-audit", f"--last={AUDIT_ENTRIES}"],
        env=stack.environment("identity_service"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    message = (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()[-1]
    hint = "preserve this state with `meno backup DIR` and compare it with an earlier backup"
    detail = message.removeprefix("the audit chain is ")
    return check("audit chain", detail, hint, passed=done.returncode == 0)


def _interrupted_restores(postgres: Postgres, accesses: list[Access]) -> Finding:
    """Checks for databases that a killed restore left behind."""
    suffixes = (databases.RESTORED_SUFFIX, databases.REPLACED_SUFFIX)
    leftovers = {f"{one.database}{suffix}" for one in accesses for suffix in suffixes}
    found = sorted(databases.list_databases(postgres) & leftovers)
    if not found:
        return ok("restores", "none was interrupted")
    detail = f"databases of an interrupted restore: {', '.join(found)}"
    return problem("restores", detail, "the next `meno restore` drops them")


def _fetch_row(connection: "psycopg.Connection[Any]", query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row


def skip_checks() -> Iterator[Finding]:
    """Yields the findings of the checks that need a running database."""
    for name in ("PostgreSQL", "migrations", "signing key", "outboxes", "account feed", "audit chain"):
        yield skipped(name, "the stack is not running")
