"""Tables of users, their preferences, XP and activity, and of erasures."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Index,
    Integer,
    Named,
    SmallInteger,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from chassis.tables import TIMESTAMPTZ, person_index
from identity_service.tables.metadata import METADATA


class UserColumns(TypedColumns):
    """A user."""

    user_id: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))
    display_name: Named[str] = Column(Text)
    full_name: Named[str] = Column(Text, server_default="")
    nickname: Named[str] = Column(Text)
    age: Named[int | None] = Column(SmallInteger)
    grade: Named[int | None] = Column(SmallInteger)
    board: Named[str] = Column(Text, server_default="")
    school_name: Named[str] = Column(Text, server_default="")
    about_me: Named[str] = Column(Text, server_default="")
    onboarding_complete: Named[bool] = Column(
        Computed("age IS NOT NULL AND grade IS NOT NULL AND board <> ''", persisted=True)
    )
    role: Named[str] = Column(Text)
    guest: Named[bool] = Column(server_default=text("false"))
    rights_version: Named[int] = Column(BigInteger, server_default="0")
    xp: Named[int] = Column(BigInteger, server_default="0")
    level: Named[int] = Column(BigInteger, Computed("xp / 1000", persisted=True))
    # Copies of the last row of `activity_days`, so that reading a user reads one row.
    streak: Named[int] = Column(Integer, server_default="0")
    streak_day: Named[date | None] = Column(Date)
    streak_time_zone: Named[str | None] = Column(Text)
    last_active_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    last_sign_in_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    version: Named[int] = Column(BigInteger, server_default="1")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    deactivated_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deactivated_by_user_id: Named[str | None] = Column(UUID)
    deleted_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deleted_by_user_id: Named[str | None] = Column(UUID)
    merged_into_user_id: Named[str | None] = Column(UUID)
    """The user into whom this guest was merged."""


users = Table(
    "users",
    METADATA,
    UserColumns,
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


class UserSettingsColumns(TypedColumns):
    """The settings of a user. Without a row, all settings have their defaults."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    app_theme: Named[str] = Column(Text, server_default="light")
    prefers_assistive_learning: Named[bool] = Column(server_default=text("false"))
    notifications: Named[dict[str, Any]] = Column(JSONB, server_default=text("'{}'"))
    time_zone: Named[str] = Column(Text, server_default="UTC")
    keep_practice_history: Named[bool] = Column(server_default=text("false"))
    version: Named[int] = Column(BigInteger, server_default="1")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())


user_settings = Table(
    "user_settings",
    METADATA,
    UserSettingsColumns,
    CheckConstraint("app_theme IN ('light', 'dark')", name="app_theme"),
    CheckConstraint("jsonb_typeof(notifications) = 'object'", name="notifications"),
)


class XpEntryColumns(TypedColumns):
    """The XP ledger. Rows are only inserted; the sum of the amounts is `users.xp`."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    xp_entry_id: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))
    award_id: Named[str] = Column(UUID)
    amount: Named[int] = Column(Integer)
    reason: Named[str] = Column(Text)
    reference_id: Named[str | None] = Column(UUID)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now(), index=True)


xp_entries = Table(
    "xp_entries",
    METADATA,
    XpEntryColumns,
    CheckConstraint(
        "reason IN ('PRACTICE_SCORED', 'QUIZ_GRADED', 'SESSION_COMPLETED', 'CORRECTION')", name="reason"
    ),
    UniqueConstraint("user_id", "award_id"),
)


class ActivityDayColumns(TypedColumns):
    """A local calendar day on which a user studied. `streak` is the number of consecutive days up to it."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    day: Named[date] = Column(Date, primary_key=True)
    time_zone: Named[str] = Column(Text)
    streak: Named[int] = Column(Integer)
    first_active_at: Named[datetime] = Column(TIMESTAMPTZ)
    last_active_at: Named[datetime] = Column(TIMESTAMPTZ)


activity_days = Table(
    "activity_days",
    METADATA,
    ActivityDayColumns,
    Index("activity_days_day_idx", "day", "user_id"),
)


class ErasureColumns(TypedColumns):
    """The erasure of a user. Only the id of the user is kept."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())


erasures = Table("erasures", METADATA, ErasureColumns)


class ErasureReceiptColumns(TypedColumns):
    """The confirmation of a service that it has deleted the data of an erased user."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    service: Named[str] = Column(Text, primary_key=True)
    rows: Named[int] = Column(BigInteger)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())


erasure_receipts = Table("erasure_receipts", METADATA, ErasureReceiptColumns)
