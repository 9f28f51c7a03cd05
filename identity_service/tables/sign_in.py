"""Tables of login identifiers, credentials and sign-ins."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Named,
    Table,
    Text,
    TypedColumns,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from chassis.tables import TIMESTAMPTZ
from identity_service.tables.metadata import METADATA


class LoginIdentifierColumns(TypedColumns):
    """A login name, e-mail address or phone number with which a user signs in.

    `value` is the text that the user entered; `canonical` is the form in which it is compared.
    """

    user_id: Named[str] = Column(UUID, primary_key=True)
    kind: Named[str] = Column(Text, primary_key=True)
    value: Named[str] = Column(Text)
    canonical: Named[str] = Column(Text)
    verified_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    """The time at which the user proved control of the address. Until then, the address is only claimed."""


login_identifiers = Table(
    "login_identifiers",
    METADATA,
    LoginIdentifierColumns,
    CheckConstraint("kind IN ('LOGIN_NAME', 'EMAIL', 'PHONE')", name="kind"),
    # One index for all kinds, because users enter any of them in one field.
    Index("login_identifiers_canonical_key", "canonical", unique=True),
)


class UserIdentityColumns(TypedColumns):
    """The subject of a user at an issuer of ID tokens (OpenID Connect)."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    issuer: Named[str] = Column(Text, primary_key=True)
    subject: Named[str] = Column(Text, primary_key=True)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())


user_identities = Table(
    "user_identities",
    METADATA,
    UserIdentityColumns,
    Index("user_identities_subject_key", "issuer", "subject", unique=True),
)


class CredentialColumns(TypedColumns):
    """The password of a user, hashed with argon2id."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    password_hash: Named[str] = Column(Text)
    change_hash: Named[str | None] = Column(Text)
    """The hash of the old and the new password of the last change, which identifies its repetition."""
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())


credentials = Table("credentials", METADATA, CredentialColumns)


class OneTimeCodeColumns(TypedColumns):
    """The last code sent to an address. The row outlives the code, because it limits messages."""

    address_hash: Named[bytes] = Column(LargeBinary, primary_key=True)
    code_hash: Named[bytes | None] = Column(LargeBinary)
    """NULL after the code was redeemed, and in rows that count the messages of one network."""
    sent: Named[int] = Column(Integer, server_default="1")
    sent_at: Named[datetime] = Column(TIMESTAMPTZ)
    expires_at: Named[datetime] = Column(TIMESTAMPTZ, index=True)


one_time_codes = Table("one_time_codes", METADATA, OneTimeCodeColumns)


class SignUpRequestColumns(TypedColumns):
    """The user that a sign-up request created."""

    request_id: Named[str] = Column(UUID, primary_key=True)
    user_id: Named[str] = Column(UUID, index=True)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now(), index=True)


sign_up_requests = Table("sign_up_requests", METADATA, SignUpRequestColumns)


class SignInFailureColumns(TypedColumns):
    """Consecutive failed or running attempts on an identifier from a network, whether or not a user has it."""

    identifier_hash: Named[bytes] = Column(LargeBinary, primary_key=True)
    network_hash: Named[bytes] = Column(LargeBinary, primary_key=True)
    failures: Named[int] = Column(BigInteger)
    failed_at: Named[datetime] = Column(TIMESTAMPTZ, index=True)


sign_in_failures = Table("sign_in_failures", METADATA, SignInFailureColumns)


class SignInColumns(TypedColumns):
    """A sign-in with its refresh tokens. Only the hashes of the last two tokens are stored."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    sign_in_id: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))
    request_id: Named[str | None] = Column(UUID)
    current_hash: Named[bytes] = Column(LargeBinary)
    previous_hash: Named[bytes | None] = Column(LargeBinary)
    rotated_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    expires_at: Named[datetime] = Column(TIMESTAMPTZ, index=True)
    revoked_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())


sign_ins = Table(
    "sign_ins",
    METADATA,
    SignInColumns,
    Index(
        "sign_ins_user_id_request_id_key",
        "user_id",
        "request_id",
        unique=True,
        postgresql_where=text("request_id IS NOT NULL"),
    ),
)


class SigningKeyColumns(TypedColumns):
    """A key that signs access tokens. The private key is encrypted."""

    kid: Named[str] = Column(Text, primary_key=True)
    private_key: Named[bytes] = Column(LargeBinary)
    public_jwk: Named[dict[str, Any]] = Column(JSONB)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    signs_from: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    retired_at: Named[datetime | None] = Column(TIMESTAMPTZ)


signing_keys = Table("signing_keys", METADATA, SigningKeyColumns)
