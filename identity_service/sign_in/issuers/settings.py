"""Which issuers of ID tokens an installation trusts, and how far."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from identity_service.endpoints import https

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Signatures with a key pair alone: with a shared secret, whoever verifies could sign as well."""

Url = Annotated[str, Field(max_length=200), AfterValidator(https)]


class TrustedIssuer(BaseModel):
    """An issuer of ID tokens (OpenID Connect), and which of its tokens are accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Url
    """Exactly as the tokens' `iss` has it."""
    audiences: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    """The clients of this installation, as the issuer calls them."""
    jwks_uri: Url | None = None
    """Where its keys are. Default: as its `/.well-known/openid-configuration` says."""
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256"), min_length=1)
