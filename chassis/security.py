"""The state with which the interceptors authenticate and authorise calls."""

from dataclasses import dataclass, field

from chassis.revocation import RevocationList
from chassis.stream_limits import StreamLimits
from chassis.tokens import Tokens


@dataclass(frozen=True)
class SecurityContext:
    """The token verifier, the revocation list, the secret and the open streams of one process."""

    tokens: Tokens
    revocations: RevocationList
    secret: bytes = field(repr=False)
    """The key of the digests with which repeated requests are compared."""
    stream_limits: StreamLimits = field(default_factory=StreamLimits)
