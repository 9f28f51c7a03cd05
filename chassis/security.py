"""The state with which the interceptors authenticate and authorise calls."""

from dataclasses import dataclass, field

from chassis.revocation import RevocationList
from chassis.tokens import Tokens


@dataclass(frozen=True)
class SecurityContext:
    """The token verifier, the revocation list and the secret of one process."""

    tokens: Tokens
    revocations: RevocationList
    secret: bytes = field(repr=False)
    """The key of the digests with which repeated requests are compared."""
