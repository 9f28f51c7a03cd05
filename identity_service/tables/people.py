"""Tables of users, their preferences, XP and activity, and of erasures."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Computed,
    Date,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from chassis.tables import person_index
from identity_service.tables.base import Base


class User(Base):
    """A user."""

    __tablename__ = "users"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    display_name: Mapped[str]
    full_name: Mapped[str] = mapped_column(server_default="")
    nickname: Mapped[str]
    age: Mapped[int | None] = mapped_column(SmallInteger)
    grade: Mapped[int | None] = mapped_column(SmallInteger)
    board: Mapped[str] = mapped_column(server_default="")
    school_name: Mapped[str] = mapped_column(server_default="")
    about_me: Mapped[str] = mapped_column(server_default="")
    onboarding_complete: Mapped[bool] = mapped_column(
        Computed("age IS NOT NULL AND grade IS NOT NULL AND board <> ''", persisted=True)
    )
    role: Mapped[str]
    guest: Mapped[bool] = mapped_column(server_default=text("false"))
    rights_version: Mapped[int] = mapped_column(server_default="0")
    xp: Mapped[int] = mapped_column(server_default="0")
    level: Mapped[int] = mapped_column(Computed("xp / 1000", persisted=True))
    # Copies of the last ActivityDay, so that reading a user reads one row.
    streak: Mapped[int] = mapped_column(Integer, server_default="0")
    streak_day: Mapped[date | None] = mapped_column(Date)
    streak_time_zone: Mapped[str | None]
    last_active_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_sign_in_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deactivated_at: Mapped[datetime | None]
    deactivated_by_user_id: Mapped[str | None] = mapped_column(UUID)
    deleted_at: Mapped[datetime | None]
    deleted_by_user_id: Mapped[str | None] = mapped_column(UUID)
    merged_into_user_id: Mapped[str | None] = mapped_column(UUID)
    """The user into whom this guest was merged."""

    __table_args__ = (
        CheckConstraint("role IN ('UNASSIGNED', 'STUDENT', 'TEACHER', 'ADMIN')", name="role"),
        CheckConstraint("char_length(nickname) BETWEEN 2 AND 50", name="nickname"),
        CheckConstraint("age BETWEEN 3 AND 120", name="age"),
        CheckConstraint("grade BETWEEN 1 AND 12", name="grade"),
        CheckConstraint("xp >= 0", name="xp"),
        Index("users_role_idx", "role", "user_id"),
        Index("users_created_at_idx", "created_at"),
        Index("users_inactive_idx", "last_active_at", "user_id", postgresql_where=text("NOT guest")),
        Index("users_idle_guests_idx", "last_active_at", postgresql_where=text("guest")),
        Index("users_deleted_at_idx", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
        person_index("users", "deactivated_by_user_id"),
        person_index("users", "deleted_by_user_id"),
        person_index("users", "merged_into_user_id"),
    )


class UserSettings(Base):
    """The settings of a user. Without a row, all settings have their defaults."""

    __tablename__ = "user_settings"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    app_theme: Mapped[str] = mapped_column(server_default="light")
    prefers_assistive_learning: Mapped[bool] = mapped_column(server_default=text("false"))
    notifications: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    keep_practice_history: Mapped[bool] = mapped_column(server_default=text("false"))
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("app_theme IN ('light', 'dark')", name="app_theme"),
        CheckConstraint("jsonb_typeof(notifications) = 'object'", name="notifications"),
    )


class XpEntry(Base):
    """The XP ledger. Rows are only inserted; the sum of the amounts is `users.xp`."""

    __tablename__ = "xp_entries"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    xp_entry_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    award_id: Mapped[str] = mapped_column(UUID)
    amount: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str]
    reference_id: Mapped[str | None] = mapped_column(UUID)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)

    __table_args__ = (
        CheckConstraint(
            "reason IN ('PRACTICE_SCORED', 'QUIZ_GRADED', 'SESSION_COMPLETED', 'CORRECTION')", name="reason"
        ),
        UniqueConstraint("user_id", "award_id"),
    )


class ActivityDay(Base):
    """A local calendar day on which a user studied. `streak` is the number of consecutive days up to it."""

    __tablename__ = "activity_days"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    time_zone: Mapped[str]
    streak: Mapped[int] = mapped_column(Integer)
    first_active_at: Mapped[datetime]
    last_active_at: Mapped[datetime]

    __table_args__ = (Index("activity_days_day_idx", "day", "user_id"),)


class Erasure(Base):
    """The erasure of a user. Only the id of the user is kept."""

    __tablename__ = "erasures"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ErasureReceipt(Base):
    """The confirmation of a service that it has deleted the data of an erased user."""

    __tablename__ = "erasure_receipts"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    rows: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
