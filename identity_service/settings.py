"""Settings of identity_service."""

import json
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FilePath, HttpUrl, SecretStr, field_validator, model_validator

from chassis.models.settings import ModelSettings
from identity_service.endpoints import require_https
from identity_service.trusted_issuers import TrustedIssuer

Role = Literal["UNASSIGNED", "STUDENT", "TEACHER"]


class Settings(ModelSettings):
    """The settings of this service and those that every service has."""

    signup_role: Role = Field(default="STUDENT", description="role of new users who request none")
    allowed_roles: frozenset[Role] = Field(
        default=frozenset({"STUDENT"}), description="roles that new users may request, separated by commas"
    )
    sign_in_lifetime: timedelta = Field(
        default=timedelta(days=30),
        ge=timedelta(hours=1),
        description="time after which a sign-in expires if its tokens are not refreshed",
    )
    password_threads: int = Field(
        default=2, ge=1, description="number of passwords that are hashed at the same time"
    )
    password_blocklist: FilePath | None = Field(
        default=None,
        description="file of forbidden passwords, one per line, in plain text or as hexadecimal SHA-1",
    )
    breached_passwords_url: Annotated[str, AfterValidator(require_https)] | None = Field(
        default=None,
        description="URL of an API of stolen passwords, such as https://api.pwnedpasswords.com/range/; only the "
        "first five hexadecimal digits of the SHA-1 are sent",
    )
    key_lifetime: timedelta = Field(
        default=timedelta(days=90),
        ge=timedelta(hours=1),
        description="time for which a key signs access tokens",
    )
    public_url: HttpUrl = Field(
        default=HttpUrl("http://localhost:8080"), description="URL of the gateway for clients"
    )

    oidc_issuers: tuple[TrustedIssuer, ...] = Field(
        default=(),
        description="trusted issuers of ID tokens, as JSON: a list of {issuer, audiences: [...], jwks_uri (default: "
        "from the OpenID configuration of the issuer), algorithms (default: RS256, ES256)}",
    )

    code_sender: str = Field(
        default="none",
        pattern=r"^(none|log|smtp|webhook|[\w.]+:\w+)$",
        description="sender of one-time codes: none, log (only for a local stack), smtp, webhook or "
        "package.module:factory",
    )
    smtp_url: SecretStr | None = Field(default=None, description="smtp[s]://user:password@host:port")
    code_from: str = Field(default="", description="sender address of e-mails with codes")
    code_webhook_url: str = Field(
        default="", description="https:// URL to which codes are sent as JSON by POST"
    )
    code_webhook_secret: SecretStr | None = Field(
        default=None, min_length=32, description="key of the HMAC signature of these requests"
    )

    @field_validator("allowed_roles", mode="before")
    @classmethod
    def _split_roles(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("oidc_issuers", mode="before")
    @classmethod
    def _parse_issuers(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("oidc_issuers")
    @classmethod
    def _check_unique(cls, value: tuple[TrustedIssuer, ...]) -> tuple[TrustedIssuer, ...]:
        if len({issuer.issuer for issuer in value}) < len(value):
            raise ValueError("must not contain an issuer twice")
        return value

    @model_validator(mode="after")
    def _check_code_sender(self) -> "Settings":
        if self.code_sender == "smtp":
            url = urlsplit(self.smtp_url.get_secret_value() if self.smtp_url else "")
            if url.scheme not in ("smtp", "smtps") or not url.hostname or not self.code_from:
                raise ValueError("MENO_CODE_SENDER=smtp requires MENO_SMTP_URL and MENO_CODE_FROM")
        if self.code_sender == "webhook":
            if not self.code_webhook_url or self.code_webhook_secret is None:
                raise ValueError(
                    "MENO_CODE_SENDER=webhook requires MENO_CODE_WEBHOOK_URL and MENO_CODE_WEBHOOK_SECRET"
                )
            require_https(self.code_webhook_url)
        return self
