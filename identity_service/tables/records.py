"""Tables of the account feed, the audit log and the outbox."""

from datetime import datetime
from typing import Any

from sqlalchemy import DDL, CheckConstraint, Index, event, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from chassis.idempotency import IdempotencyKeys as IdempotencyKeysTable
from chassis.outbox import Outbox as OutboxTable
from identity_service.tables.base import Base


class AccountEvent(Base):
    """The account feed. Writers hold one lock, so sequence and time ascend in the order of commits."""

    __tablename__ = "account_events"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    body: Mapped[dict[str, Any]]
    """The fields of the event, with their names in the contract."""
    permanent: Mapped[bool]
    """Whether the event is kept indefinitely. Other events only matter as long as the tokens they revoke."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)

    __table_args__ = (
        CheckConstraint(
            "kind IN ('rights_lost', 'sign_in_ended', 'class_changed', 'user_erased', 'user_merged', "
            "'settings_changed')",
            name="kind",
        ),
        CheckConstraint("jsonb_typeof(body) = 'object'", name="body"),
        Index("account_events_transient_idx", "created_at", postgresql_where=text("NOT permanent")),
        Index(
            "account_events_settings_idx",
            text("(body ->> 'user_id')"),
            postgresql_where=text("kind = 'settings_changed'"),
        ),
    )


class FeedEpoch(Base):
    """The epochs of the feed. The last row is the current one; a restore adds a row."""

    __tablename__ = "feed_epochs"

    epoch: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))


class AuditEntry(Base):
    """The audit log. Rows are only inserted; `digest` is the hash of the entry and the previous digest."""

    __tablename__ = "audit_entries"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry_id: Mapped[str] = mapped_column(UUID, unique=True)
    occurred_at: Mapped[datetime]
    service: Mapped[str]
    action: Mapped[str]
    actor_user_id: Mapped[str | None] = mapped_column(UUID)
    user_id: Mapped[str | None] = mapped_column(UUID)
    class_id: Mapped[str | None] = mapped_column(UUID)
    resource_id: Mapped[str | None] = mapped_column(UUID)
    details: Mapped[dict[str, Any]]
    request_id: Mapped[str]
    digest: Mapped[bytes]

    __table_args__ = (
        Index("audit_entries_actor_user_id_idx", "actor_user_id", "sequence"),
        Index("audit_entries_user_id_idx", "user_id", "sequence"),
        Index("audit_entries_class_id_idx", "class_id", "sequence"),
    )


class Outbox(OutboxTable, Base):
    """Audit entries that are not in the chain yet."""


class IdempotencyKeys(IdempotencyKeysTable, Base):
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
    event.listen(AuditEntry.__table__, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
