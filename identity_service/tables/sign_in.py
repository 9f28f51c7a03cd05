"""Tables of login identifiers, credentials and sign-ins."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from identity_service.tables.base import Base


class LoginIdentifier(Base):
    """A login name, e-mail address or phone number with which a user signs in.

    `value` is the text that the user entered; `canonical` is the form in which it is compared.
    """

    __tablename__ = "login_identifiers"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    canonical: Mapped[str]
    verified_at: Mapped[datetime | None]
    """The time at which the user proved control of the address. Until then, the address is only claimed."""

    __table_args__ = (
        CheckConstraint("kind IN ('LOGIN_NAME', 'EMAIL', 'PHONE')", name="kind"),
        # One index for all kinds, because users enter any of them in one field.
        Index("login_identifiers_canonical_key", "canonical", unique=True),
    )


class UserIdentity(Base):
    """The subject of a user at an issuer of ID tokens (OpenID Connect)."""

    __tablename__ = "user_identities"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("user_identities_subject_key", "issuer", "subject", unique=True),)


class Credential(Base):
    """The password of a user, hashed with argon2id."""

    __tablename__ = "credentials"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    password_hash: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OneTimeCode(Base):
    """The last code sent to an address. The row outlives the code, because it limits messages and attempts."""

    __tablename__ = "one_time_codes"

    address_hash: Mapped[bytes] = mapped_column(primary_key=True)
    code_hash: Mapped[bytes | None]
    """NULL after the code was redeemed or entered incorrectly too often."""
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    sent: Mapped[int] = mapped_column(Integer, server_default="1")
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SignUpRequest(Base):
    """The user that a sign-up request created."""

    __tablename__ = "sign_up_requests"

    request_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    user_id: Mapped[str] = mapped_column(UUID, index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class SignInFailure(Base):
    """Consecutive failed or running sign-in attempts of an identifier, whether or not a user has it."""

    __tablename__ = "sign_in_failures"

    identifier_hash: Mapped[bytes] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime] = mapped_column(index=True)


class SignIn(Base):
    """A sign-in with its refresh tokens. Only the hashes of the last two tokens are stored."""

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
    """A key that signs access tokens. The private key is encrypted."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    private_key: Mapped[bytes]
    public_jwk: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    signs_from: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]
