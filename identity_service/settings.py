"""What an operator sets for identity_service."""

import json
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FilePath, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from chassis.models.settings import ModelSettings
from identity_service.endpoints import https
from identity_service.sign_in.issuers.settings import TrustedIssuer

Role = Literal["UNASSIGNED", "STUDENT", "TEACHER"]


class Settings(ModelSettings):
    """The service's settings, with those of every service."""

    signup_role: Role = Field(default="STUDENT", description="role of newcomers who ask for none")
    offered_roles: Annotated[frozenset[Role], NoDecode] = Field(
        default=frozenset({"STUDENT"}), description="roles that newcomers may ask for, separated by commas"
    )
    sign_in_lifetime: timedelta = Field(
        default=timedelta(days=30),
        ge=timedelta(hours=1),
        description="how long a sign-in lasts that is not refreshed",
    )
    password_threads: int = Field(default=2, ge=1, description="passwords that are hashed at the same time")
    password_blocklist: FilePath | None = Field(
        default=None,
        description="a file of passwords that nobody may set, one a line, in plain text or as SHA-1 in hexadecimal",
    )
    breached_passwords_url: Annotated[str, AfterValidator(https)] | None = Field(
        default=None,
        description="where to ask for stolen passwords, such as https://api.pwnedpasswords.com/range/; only five "
        "digits of a digest are sent",
    )
    key_lifetime: timedelta = Field(
        default=timedelta(days=90), ge=timedelta(hours=1), description="how long a key signs access tokens"
    )
    public_url: HttpUrl = Field(
        default=HttpUrl("http://localhost:8080"), description="where clients reach the gateway"
    )

    oidc_issuers: Annotated[tuple[TrustedIssuer, ...], NoDecode] = Field(
        default=(),
        description="issuers of ID tokens, as JSON: a list of {issuer, audiences: [...], jwks_uri (default: as "
        "the issuer says), algorithms (default: RS256, ES256)}",
    )

    code_sender: str = Field(
        default="none",
        pattern=r"^(none|log|smtp|webhook|[\w.]+:\w+)$",
        description="carries one-time codes: none, log (a local stack alone), smtp, webhook, package.module:factory",
    )
    smtp_url: SecretStr | None = Field(default=None, description="smtp[s]://user:password@host:port")
    code_from: str = Field(default="", description="from whom e-mails with codes come")
    code_webhook_url: str = Field(default="", description="https:// URL to which codes are posted as JSON")
    code_webhook_secret: SecretStr | None = Field(
        default=None, min_length=32, description="signs what is posted there"
    )

    @field_validator("offered_roles", mode="before")
    @classmethod
    def _split_roles(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("oidc_issuers", mode="before")
    @classmethod
    def _parsed(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("oidc_issuers")
    @classmethod
    def _each_once(cls, value: tuple[TrustedIssuer, ...]) -> tuple[TrustedIssuer, ...]:
        if len({one.issuer for one in value}) < len(value):
            raise ValueError("names an issuer twice")
        return value

    @model_validator(mode="after")
    def _complete(self) -> "Settings":
        if self.code_sender == "smtp":
            url = urlsplit(self.smtp_url.get_secret_value() if self.smtp_url else "")
            if url.scheme not in ("smtp", "smtps") or not url.hostname or not self.code_from:
                raise ValueError("MENO_CODE_SENDER=smtp needs MENO_SMTP_URL and MENO_CODE_FROM")
        if self.code_sender == "webhook":
            if not self.code_webhook_url or self.code_webhook_secret is None:
                raise ValueError(
                    "MENO_CODE_SENDER=webhook needs MENO_CODE_WEBHOOK_URL and MENO_CODE_WEBHOOK_SECRET"
                )
            https(self.code_webhook_url)
        return self
