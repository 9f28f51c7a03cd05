"""Tables of classes and memberships."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Named,
    Table,
    Text,
    TypedColumns,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from chassis.tables import TIMESTAMPTZ, person_index
from identity_service.tables.metadata import METADATA


class ClassColumns(TypedColumns):
    """A class."""

    class_id: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))
    title: Named[str] = Column(Text)
    description: Named[str] = Column(Text, server_default="")
    join_code: Named[str] = Column(Text)
    join_policy: Named[str] = Column(Text, server_default="OPEN")
    version: Named[int] = Column(BigInteger, server_default="1")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    archived_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deleted_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deleted_by_user_id: Named[str | None] = Column(UUID)


classes = Table(
    "classes",
    METADATA,
    ClassColumns,
    CheckConstraint("join_policy IN ('OPEN', 'APPROVAL', 'CLOSED')", name="join_policy"),
    Index("classes_deleted_at_idx", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    person_index("classes", "deleted_by_user_id"),
)


class JoinCodeColumns(TypedColumns):
    """The class of a join code."""

    join_code: Named[str] = Column(Text, primary_key=True)
    class_id: Named[str] = Column(UUID)


join_codes = Table("join_codes", METADATA, JoinCodeColumns)


class ClassMembershipColumns(TypedColumns):
    """The members of a class, current and former. Read by class."""

    class_id: Named[str] = Column(UUID, primary_key=True)
    user_id: Named[str] = Column(UUID, primary_key=True)
    role: Named[str] = Column(Text)
    status: Named[str] = Column(Text, server_default="ACTIVE")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.clock_timestamp())
    ended_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    ended_by_user_id: Named[str | None] = Column(UUID)
    roster_sourced_id: Named[str | None] = Column(Text)
    """The `sourcedId` of the enrolment in the roster; NULL if the user did not join by roster."""


class_memberships = Table(
    "class_memberships",
    METADATA,
    ClassMembershipColumns,
    CheckConstraint("role IN ('STUDENT', 'TEACHER')", name="role"),
    CheckConstraint("status IN ('ACTIVE', 'PENDING', 'REJECTED', 'LEFT', 'REMOVED')", name="status"),
    Index("class_memberships_order_idx", "class_id", "status", "created_at", "user_id"),
    Index("class_memberships_user_id_idx", "user_id"),
    person_index("class_memberships", "ended_by_user_id"),
)


class UserClassColumns(TypedColumns):
    """The classes of a user. Read by user, for tokens. Written in the same transaction as `class_memberships`."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    class_id: Named[str] = Column(UUID, primary_key=True)
    role: Named[str] = Column(Text)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.clock_timestamp())


user_classes = Table(
    "user_classes",
    METADATA,
    UserClassColumns,
    Index("user_classes_order_idx", "user_id", "created_at", "class_id"),
)


class RosterUserColumns(TypedColumns):
    """The user of a `sourcedId` in rosters."""

    sourced_id: Named[str] = Column(Text, primary_key=True)
    user_id: Named[str] = Column(UUID, index=True)


roster_users = Table("roster_users", METADATA, RosterUserColumns)


class RosterClassColumns(TypedColumns):
    """The class of a `sourcedId` in rosters."""

    sourced_id: Named[str] = Column(Text, primary_key=True)
    class_id: Named[str] = Column(UUID, index=True)


roster_classes = Table("roster_classes", METADATA, RosterClassColumns)
