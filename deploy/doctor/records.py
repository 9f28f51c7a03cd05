"""The records: migrations, keys, outboxes, the account feed and the audit chain."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from chassis.tokens import CLOCK_SKEW
from deploy.backups import databases
from deploy.doctor.findings import Finding, good, judged, not_now, wrong
from deploy.stack.layout import ROOT
from deploy.stack.postgres import Access, Postgres
from deploy.stack.stack import Stack

AUDIT_ENTRIES = 1000
"""So many of the newest entries are verified; `meno audit verify` reads all."""

_WAITS = timedelta(minutes=2)
"""Longer than the outbox's longest pause, so that a fact that waits longer is stuck."""
_OLD_KEY = timedelta(days=100)
"""Longer than a key signs, so that one which is older shows that rotation has stopped."""

Connections = dict[str, "psycopg.Connection[Any]"]
"""By the database."""


def examine(stack: Stack, postgres: Postgres) -> Iterator[Finding]:
    """Everything of the running database."""
    try:
        opened = {
            access.database: psycopg.connect(
                postgres.url(access.database, access.owner), autocommit=True, connect_timeout=3
            )
            for access in stack.accesses
        }
    except psycopg.OperationalError as error:
        said = str(error).strip().splitlines()[0]
        yield wrong(
            "PostgreSQL", f"does not answer: {said}", "`meno logs postgres`, then `meno down`, `meno up`"
        )
        return
    try:
        yield from _examined(stack, opened)
    except psycopg.Error as error:
        yield wrong("records", str(error).strip().splitlines()[0], "`meno logs postgres`")
    finally:
        for connection in opened.values():
            connection.close()
    yield _leftovers(postgres, stack.accesses)


def _examined(stack: Stack, opened: Connections) -> Iterator[Finding]:
    identity = opened["identity"]
    yield good("PostgreSQL", identity.info.parameter_status("server_version"))
    yield _clock(identity)
    outdated = [one for one in stack.accesses if not _current(one, opened[one.database])]
    for access in outdated:
        yield wrong("migrations", f"{access.database} is not current", "`meno down`, `meno up` migrates it")
    if outdated:
        return
    yield good("migrations", "all four are current")
    yield signing_key(identity)
    yield outboxes(opened)
    yield feed(opened)
    yield _audit(stack)


def _clock(connection: "psycopg.Connection[Any]") -> Finding:
    (there,) = _row(connection, "SELECT clock_timestamp()")
    apart = abs((datetime.now(UTC) - there).total_seconds())
    hint = "set the clock of this machine: tokens are judged by it"
    return judged(
        "clock", f"{apart:.1f} s from the database's", hint, passed=apart < CLOCK_SKEW.total_seconds()
    )


def _current(access: Access, connection: "psycopg.Connection[Any]") -> bool:
    _, newest = databases.revisions(access.server)
    return databases.has(connection, "alembic_version") and databases.revision(connection) == newest


def signing_key(connection: "psycopg.Connection[Any]") -> Finding:
    """Whether a key signs, and is not too old."""
    found = connection.execute(
        "SELECT signs_from, now() - signs_from FROM signing_keys "
        "WHERE signs_from <= now() AND retired_at IS NULL ORDER BY signs_from DESC LIMIT 1"
    ).fetchone()
    if found is None:
        return wrong("signing key", "there is none", "`meno down`, `meno up` makes one")
    since, age = found
    detail = f"signs since {since:%Y-%m-%d}, {age.days} days"
    return judged(
        "signing key", detail, "`meno logs identity_service`: it should be replaced", passed=age < _OLD_KEY
    )


def outboxes(opened: Connections) -> Finding:
    """Facts that wait for another service."""
    stuck, waiting = [], 0
    for name, connection in opened.items():
        count, age = _row(
            connection, "SELECT count(*), coalesce(now() - min(created_at), interval '0') FROM outbox"
        )
        waiting += count
        if age > _WAITS:
            stuck.append(f"{name}: {count} since {age.total_seconds() / 60:.0f} min")
    hint = "`meno logs`, and look for outbox_not_delivered: it says why"
    return judged("outboxes", "; ".join(stuck) or f"{waiting} facts on their way", hint, passed=not stuck)


def feed(opened: Connections) -> Finding:
    """Whether every service has applied the erasures, which all of them have to."""
    identity = opened["identity"]
    (epoch,) = _row(identity, "SELECT epoch FROM feed_epochs ORDER BY epoch DESC LIMIT 1")
    last = identity.execute(
        "SELECT sequence, now() - created_at FROM account_events WHERE kind = 'user_erased' "
        "ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    if last is None or last[1] < _WAITS:
        return good("account feed", "no erasure waits" if last is None else "an erasure is on its way")
    behind = []
    for name, connection in opened.items():
        if databases.has(connection, "feed_cursor"):
            followed, sequence = _row(connection, "SELECT epoch, sequence FROM feed_cursor")
            if followed != epoch or sequence < last[0]:
                behind.append(name)
    hint = "`meno logs`, and look for effects_not_applied: it says why"
    detail = f"{', '.join(behind)} behind" if behind else "every service has followed it"
    return judged("account feed", detail, hint, passed=not behind)


def _audit(stack: Stack) -> Finding:
    done = subprocess.run(
        [sys.executable, "-m", "identity_service", "verify-audit", f"--last={AUDIT_ENTRIES}"],
        env=stack.environment("identity_service"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout.strip() or done.stderr.strip() or "it said nothing").splitlines()[-1]
    hint = "keep this state (`meno backup DIR`) and compare it with an earlier backup"
    return judged("audit chain", said.removeprefix("the audit chain is "), hint, passed=done.returncode == 0)


def _leftovers(postgres: Postgres, accesses: list[Access]) -> Finding:
    """What a restore leaves that was killed."""
    ends = (databases.FRESH, databases.BEFORE)
    found = sorted(databases.names(postgres) & {f"{one.database}{end}" for one in accesses for end in ends})
    if not found:
        return good("restores", "none was broken off")
    return wrong(
        "restores", f"left of one that was killed: {', '.join(found)}", "the next `meno restore` drops them"
    )


def _row(connection: "psycopg.Connection[Any]", query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row


def away() -> Iterator[Finding]:
    """What is not examined while the database is down."""
    for what in ("PostgreSQL", "migrations", "signing key", "outboxes", "account feed", "audit chain"):
        yield not_now(what, "the stack is down")
