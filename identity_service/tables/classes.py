"""Classes and who is in them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from chassis.tables import names_person
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
        names_person("classes", "deleted_by_user_id"),
    )


class JoinCode(Base):
    """Which class a join code opens."""

    __tablename__ = "join_codes"

    join_code: Mapped[str] = mapped_column(primary_key=True)
    class_id: Mapped[str] = mapped_column(UUID)


class Membership(Base):
    """Who is or was in a class: what the class asks."""

    __tablename__ = "class_memberships"

    class_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    role: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="ACTIVE")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    ended_at: Mapped[datetime | None]
    ended_by_user_id: Mapped[str | None] = mapped_column(UUID)
    roster_sourced_id: Mapped[str | None]
    """The enrolment's name in the roster that it came with; unset where the person joined by themselves."""

    __table_args__ = (
        CheckConstraint("role IN ('STUDENT', 'TEACHER')", name="role"),
        CheckConstraint("status IN ('ACTIVE', 'PENDING', 'REJECTED', 'LEFT', 'REMOVED')", name="status"),
        Index("class_memberships_order_idx", "class_id", "status", "created_at", "user_id"),
        Index("class_memberships_user_id_idx", "user_id"),
        names_person("class_memberships", "ended_by_user_id"),
    )


class UserClass(Base):
    """The classes that a person is in: what a token asks. Changes with Membership, in one transaction."""

    __tablename__ = "user_classes"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    class_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (Index("user_classes_order_idx", "user_id", "created_at", "class_id"),)


class RosterUser(Base):
    """Who somebody is in a roster."""

    __tablename__ = "roster_users"

    sourced_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(UUID, index=True)


class RosterClass(Base):
    """What a class is in a roster."""

    __tablename__ = "roster_classes"

    sourced_id: Mapped[str] = mapped_column(primary_key=True)
    class_id: Mapped[str] = mapped_column(UUID, index=True)
