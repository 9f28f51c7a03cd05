"""Signs users in with ID tokens."""

import hmac

from chassis.database import Database
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import IdTokenInvalid
from identity_service.sign_in.identifiers.commands import sign_in_or_sign_up
from identity_service.sign_in.issuers.verifier import IdTokenVerifier
from identity_service.sign_in.throttle import commands as throttle
from identity_service.sign_in.tokens.token_service import TokenService
from identity_service.sign_in.tokens.types import SignInTokens


class IdTokenSignIn:
    """Signs users in with ID tokens."""

    def __init__(
        self,
        database: Database,
        tokens: TokenService,
        config: ConfigReader,
        verifier: IdTokenVerifier,
        secret: bytes,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._config = config
        self._verifier = verifier
        self._key = hmac.digest(secret, b"ID tokens", "sha256")

    async def sign_in(self, id_token: str, *, nonce: str, display_name: str, request_id: str) -> SignInTokens:
        """Signs the user of an ID token in, or signs them up. A retry of the request returns the same sign-in.

        `display_name` is used if the token contains no name. Raises IdTokenInvalid, ServiceUnavailable,
        FieldInvalid, SignUpDisabled, GuestSignInDisabled, AccountDeactivated, RequestIdReused or TokensAlreadyRotated.
        """
        try:
            verified = await self._verifier.verify(id_token, nonce)
        except IdTokenInvalid as invalid:
            async with self._database.transaction() as transaction:
                await throttle.audit_invalid_id_token(transaction, self._key, invalid.metadata["cause"])
            raise
        verified = verified._replace(name=verified.name or display_name)
        async with self._database.transaction() as transaction:
            user_id = await sign_in_or_sign_up(transaction, self._config, verified)
            return await self._tokens.begin(transaction, user_id, request_id, proof=id_token, kind="ID_TOKEN")
