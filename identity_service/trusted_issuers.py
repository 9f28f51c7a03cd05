"""Settings of the issuers of ID tokens that an installation trusts."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from identity_service.endpoints import require_https

GOOGLE = "https://accounts.google.com"

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Only asymmetric signatures: with a shared secret, each verifier could also sign."""

Url = Annotated[str, Field(max_length=200), AfterValidator(require_https)]


class TrustedIssuer(BaseModel):
    """An issuer of ID tokens (OpenID Connect), and the conditions under which its tokens are accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Url
    """The value of the `iss` claim. Google also writes its issuer without `https://`."""
    audiences: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    """The client ids of this installation at the issuer."""
    jwks_uri: Url | None = None
    """The URL of the keys. Default: the one in `/.well-known/openid-configuration` of the issuer."""
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256"), min_length=1)

    @property
    def spellings(self) -> tuple[str, ...]:
        """The values of the `iss` claim in its tokens."""
        return (GOOGLE, "accounts.google.com") if self.issuer == GOOGLE else (self.issuer,)

    @property
    def is_supabase(self) -> bool:
        """Whether the issuer is Supabase Auth, hosted or self-hosted: its path is always the same."""
        return urlsplit(self.issuer).path == "/auth/v1"

    @property
    def is_cognito(self) -> bool:
        """Whether the issuer is an Amazon Cognito user pool."""
        host = urlsplit(self.issuer).hostname or ""
        return host.startswith("cognito-idp.") and host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
