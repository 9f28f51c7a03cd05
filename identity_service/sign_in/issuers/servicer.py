"""Handler of AuthService for ID tokens."""

from chassis.calls import Context
from identity_service.sign_in.issuers.commands import IdTokenSignIn
from identity_service.sign_in.tokens.token_service import TokenService
from meno.identity.v1.auth_service_pb2 import SignInWithIdTokenRequest
from meno.identity.v1.resources_pb2 import Tokens


class IdTokenServicer:
    """Signs users in with ID tokens."""

    def __init__(self, tokens: TokenService, id_token_sign_in: IdTokenSignIn) -> None:
        self._tokens = tokens
        self._id_token_sign_in = id_token_sign_in

    async def SignInWithIdToken(self, request: SignInWithIdTokenRequest, context: Context) -> Tokens:
        begun = await self._id_token_sign_in.sign_in(
            request.id_token,
            nonce=request.nonce,
            display_name=request.display_name,
            request_id=request.request_id,
        )
        return await self._tokens.issue(begun)
