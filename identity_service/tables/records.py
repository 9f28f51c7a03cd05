"""What is told to other services, and what is kept of what was done."""

from datetime import datetime
from typing import Any

from sqlalchemy import DDL, CheckConstraint, Index, event, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from chassis.idempotency import RequestMemory as RequestMemoryTable
from chassis.outbox import Outbox as OutboxTable
from identity_service.tables.base import Base


class AccountEvent(Base):
    """The account feed. Sequences and times ascend in the order of commits, under one lock."""

    __tablename__ = "account_events"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    body: Mapped[dict[str, Any]]
    """The event's own fields, as the contract names them."""
    lasting: Mapped[bool]
    """Whether it changes something for good: then it is kept, for services that were away."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)

    __table_args__ = (
        CheckConstraint(
            "kind IN ('rights_lost', 'sign_in_ended', 'class_changed', 'user_erased', 'user_merged', "
            "'settings_changed')",
            name="kind",
        ),
        CheckConstraint("jsonb_typeof(body) = 'object'", name="body"),
        Index("account_events_passing_idx", "created_at", postgresql_where=text("NOT lasting")),
        Index(
            "account_events_settings_idx",
            text("(body ->> 'user_id')"),
            postgresql_where=text("kind = 'settings_changed'"),
        ),
    )


class FeedEpoch(Base):
    """To what the feed's sequences belong: the last row counts. A restore adds one."""

    __tablename__ = "feed_epochs"

    epoch: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))


class AuditEntry(Base):
    """What was done: added, never changed; `digest` seals the entry and all before it."""

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
    """Facts on their way to the chain of audit entries."""


class RequestMemory(RequestMemoryTable, Base):
    """Requests that were answered within 24 hours."""


APPEND_ONLY = (
    """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit entries are only ever added'; END $$
""",
    """
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)
"""Keeps even the owner of the table from changing it by mistake."""

for _statement in APPEND_ONLY:
    event.listen(AuditEntry.__table__, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
