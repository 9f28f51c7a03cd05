"""Every table that identity_service owns.

A person's tables begin their key with `user_id`, a class's with `class_id`. Reference tables,
small and the same on every shard, are LoginIdentifier and SignUpRequest (a person must be
found before their id is known), JoinCode (so must a class), SigningKey and AccountEvent
(every process reads them whole), and SignInFailure (it counts names that nobody has).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.idempotency import RequestMemory as RequestMemoryTable
from chassis.tables import TYPES, metadata


class Base(DeclarativeBase):
    """The tables of this service."""

    metadata = metadata()
    type_annotation_map = TYPES


class User(Base):
    """A person."""

    __tablename__ = "users"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    display_name: Mapped[str]
    full_name: Mapped[str] = mapped_column(server_default="")
    nickname: Mapped[str]
    role: Mapped[str]
    rights_version: Mapped[int] = mapped_column(server_default="0")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
    deleted_by_user_id: Mapped[str | None] = mapped_column(UUID)

    __table_args__ = (
        CheckConstraint("role IN ('UNASSIGNED', 'STUDENT', 'TEACHER', 'ADMIN')", name="role"),
        CheckConstraint("char_length(nickname) BETWEEN 2 AND 50", name="nickname"),
    )


class LoginIdentifier(Base):
    """What a person signs in with: a login name, an e-mail address, a phone number.

    `value` is how they write it, `canonical` how it is compared.
    """

    __tablename__ = "login_identifiers"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    canonical: Mapped[str]

    __table_args__ = (
        CheckConstraint("kind IN ('LOGIN_NAME', 'EMAIL', 'PHONE')", name="kind"),
        # One index for all kinds, for a person signs in with any of them in one field.
        Index("login_identifiers_canonical_key", "canonical", unique=True),
    )


class Credential(Base):
    """A person's password, hashed with argon2id."""

    __tablename__ = "credentials"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    password_hash: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SignUpRequest(Base):
    """Which person a sign-up's request_id made."""

    __tablename__ = "sign_up_requests"

    request_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    user_id: Mapped[str] = mapped_column(UUID)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class SignInFailure(Base):
    """Attempts in a row on a name that failed or are under way, whether or not anybody has it."""

    __tablename__ = "sign_in_failures"

    identifier_hash: Mapped[bytes] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime] = mapped_column(index=True)


class SignIn(Base):
    """One sign-in and the family of its refresh tokens: only hashes of the last two are kept."""

    __tablename__ = "sign_ins"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    sign_in_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    request_id: Mapped[str | None] = mapped_column(UUID)
    current_hash: Mapped[bytes]
    previous_hash: Mapped[bytes | None]
    rotated_at: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(
            "sign_ins_user_id_request_id_key",
            "user_id",
            "request_id",
            unique=True,
            postgresql_where=text("request_id IS NOT NULL"),
        ),
    )


class SigningKey(Base):
    """A key that signs access tokens; its private half is encrypted."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    private_key: Mapped[bytes]
    public_jwk: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    signs_from: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]


class AccountEvent(Base):
    """The account feed. Sequences and times ascend in the order of commits, under one lock."""

    __tablename__ = "account_events"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    user_id: Mapped[str] = mapped_column(UUID)
    kind: Mapped[str]
    rights_version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)

    __table_args__ = (CheckConstraint("kind IN ('RIGHTS_LOST')", name="kind"),)


class Class(Base):
    """A class."""

    __tablename__ = "classes"

    class_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    join_code: Mapped[str]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
    deleted_by_user_id: Mapped[str | None] = mapped_column(UUID)


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

    __table_args__ = (
        CheckConstraint("role IN ('STUDENT', 'TEACHER')", name="role"),
        CheckConstraint("status IN ('ACTIVE', 'LEFT', 'REMOVED')", name="status"),
        Index("class_memberships_order_idx", "class_id", "created_at", "user_id"),
    )


class UserClass(Base):
    """The classes that a person is in: what a token asks. Changes with Membership, in one transaction."""

    __tablename__ = "user_classes"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    class_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (Index("user_classes_order_idx", "user_id", "created_at", "class_id"),)


class RequestMemory(RequestMemoryTable, Base):
    """Requests that were answered within 24 hours."""
