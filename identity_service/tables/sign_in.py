"""How people are recognised."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from identity_service.tables.base import Base


class LoginIdentifier(Base):
    """What a person signs in with: a login name, an e-mail address, a phone number.

    `value` is how they write it, `canonical` how it is compared.
    """

    __tablename__ = "login_identifiers"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    canonical: Mapped[str]
    proven_at: Mapped[datetime | None]
    """Of an address: when its owner showed that it is theirs; until then it is a mere claim."""

    __table_args__ = (
        CheckConstraint("kind IN ('LOGIN_NAME', 'EMAIL', 'PHONE')", name="kind"),
        # One index for all kinds, for a person signs in with any of them in one field.
        Index("login_identifiers_canonical_key", "canonical", unique=True),
    )


class UserIdentity(Base):
    """Who somebody is to an issuer of ID tokens."""

    __tablename__ = "user_identities"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("user_identities_subject_key", "issuer", "subject", unique=True),)


class Credential(Base):
    """A person's password, hashed with argon2id."""

    __tablename__ = "credentials"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    password_hash: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OneTimeCode(Base):
    """The last code that was sent to an address; the row outlives it, to count what is sent and tried."""

    __tablename__ = "one_time_codes"

    address_hash: Mapped[bytes] = mapped_column(primary_key=True)
    code_hash: Mapped[bytes | None]
    """None once the code was redeemed, or tried too often."""
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    sent: Mapped[int] = mapped_column(Integer, server_default="1")
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SignUpRequest(Base):
    """Which person a sign-up's request_id made."""

    __tablename__ = "sign_up_requests"

    request_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    user_id: Mapped[str] = mapped_column(UUID, index=True)
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
