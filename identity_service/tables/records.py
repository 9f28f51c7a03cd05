"""Tables of the account feed, the audit log and the outbox."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    Named,
    Table,
    Text,
    TypedColumns,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from chassis.idempotency import IdempotencyKeysColumns
from chassis.outbox import OutboxColumns
from chassis.tables import TIMESTAMPTZ
from identity_service.tables.metadata import METADATA


class AccountEventColumns(TypedColumns):
    """The account feed. Writers hold one lock, so sequence and time ascend in the order of commits."""

    sequence: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    kind: Named[str] = Column(Text)
    body: Named[dict[str, Any]] = Column(JSONB)
    """The fields of the event, with their names in the contract."""
    permanent: Named[bool]
    """Whether the event is kept indefinitely. Other events only matter as long as the tokens they revoke."""
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.clock_timestamp(), index=True)
    repeat_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    """The time at which the event is appended once more, or NULL."""


account_events = Table(
    "account_events",
    METADATA,
    AccountEventColumns,
    CheckConstraint(
        "kind IN ('rights_lost', 'sign_in_ended', 'class_changed', 'user_erased', 'user_merged', "
        "'settings_changed', 'signing_key_retired')",
        name="kind",
    ),
    CheckConstraint("jsonb_typeof(body) = 'object'", name="body"),
    Index("account_events_repeat_at_idx", "repeat_at", postgresql_where=text("repeat_at IS NOT NULL")),
    Index("account_events_transient_idx", "created_at", postgresql_where=text("NOT permanent")),
    Index(
        "account_events_settings_idx",
        text("(body ->> 'user_id')"),
        postgresql_where=text("kind = 'settings_changed'"),
    ),
)


class FeedEpochColumns(TypedColumns):
    """The epochs of the feed. The last row is the current one; a restore adds a row."""

    epoch: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))


feed_epochs = Table("feed_epochs", METADATA, FeedEpochColumns)


class AuditEntryColumns(TypedColumns):
    """The audit log. Rows are only inserted; `digest` is the hash of the entry and the previous digest."""

    sequence: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    entry_id: Named[str] = Column(UUID, unique=True)
    occurred_at: Named[datetime] = Column(TIMESTAMPTZ)
    service: Named[str] = Column(Text)
    action: Named[str] = Column(Text)
    actor_user_id: Named[str | None] = Column(UUID)
    user_id: Named[str | None] = Column(UUID)
    class_id: Named[str | None] = Column(UUID)
    resource_id: Named[str | None] = Column(UUID)
    details: Named[dict[str, Any]] = Column(JSONB)
    request_id: Named[str] = Column(Text)
    digest: Named[bytes] = Column(LargeBinary)


audit_entries = Table(
    "audit_entries",
    METADATA,
    AuditEntryColumns,
    Index("audit_entries_actor_user_id_idx", "actor_user_id", "sequence"),
    Index("audit_entries_user_id_idx", "user_id", "sequence"),
    Index("audit_entries_class_id_idx", "class_id", "sequence"),
)

outbox = Table("outbox", METADATA, OutboxColumns)
"""Audit entries that are not in the chain yet."""

idempotency_keys = Table("idempotency_keys", METADATA, IdempotencyKeysColumns)
"""The responses to requests of the last 24 hours."""


APPEND_ONLY = (
    """
CREATE FUNCTION reject_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit entries cannot be changed or deleted'; END $$
""",
    """
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION reject_change()
""",
)
"""Prevents accidental changes, also by the owner of the table."""

for _statement in APPEND_ONLY:
    event.listen(audit_entries, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
