"""Tables of classes and memberships."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from chassis.tables import person_index
from identity_service.tables.base import Base


class Class(Base):
    """A class."""

    __tablename__ = "classes"

    class_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    join_code: Mapped[str]
    join_policy: Mapped[str] = mapped_column(server_default="OPEN")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    deleted_by_user_id: Mapped[str | None] = mapped_column(UUID)

    __table_args__ = (
        CheckConstraint("join_policy IN ('OPEN', 'APPROVAL', 'CLOSED')", name="join_policy"),
        Index("classes_deleted_at_idx", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
        person_index("classes", "deleted_by_user_id"),
    )


class JoinCode(Base):
    """The class of a join code."""

    __tablename__ = "join_codes"

    join_code: Mapped[str] = mapped_column(primary_key=True)
    class_id: Mapped[str] = mapped_column(UUID)


class Membership(Base):
    """The members of a class, current and former. Read by class."""

    __tablename__ = "class_memberships"

    class_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    role: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="ACTIVE")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    ended_at: Mapped[datetime | None]
    ended_by_user_id: Mapped[str | None] = mapped_column(UUID)
    roster_sourced_id: Mapped[str | None]
    """The `sourcedId` of the enrolment in the roster; NULL if the user did not join by roster."""

    __table_args__ = (
        CheckConstraint("role IN ('STUDENT', 'TEACHER')", name="role"),
        CheckConstraint("status IN ('ACTIVE', 'PENDING', 'REJECTED', 'LEFT', 'REMOVED')", name="status"),
        Index("class_memberships_order_idx", "class_id", "status", "created_at", "user_id"),
        Index("class_memberships_user_id_idx", "user_id"),
        person_index("class_memberships", "ended_by_user_id"),
    )


class UserClass(Base):
    """The classes of a user. Read by user, for tokens. Written in the same transaction as Membership."""

    __tablename__ = "user_classes"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    class_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (Index("user_classes_order_idx", "user_id", "created_at", "class_id"),)


class RosterUser(Base):
    """The user of a `sourcedId` in rosters."""

    __tablename__ = "roster_users"

    sourced_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(UUID, index=True)


class RosterClass(Base):
    """The class of a `sourcedId` in rosters."""

    __tablename__ = "roster_classes"

    sourced_id: Mapped[str] = mapped_column(primary_key=True)
    class_id: Mapped[str] = mapped_column(UUID, index=True)
