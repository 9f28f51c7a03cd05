"""Handlers of AuthService for one-time codes."""

from chassis.calls import Context
from chassis.conversions import to_timestamp
from identity_service.sign_in.codes.commands import CodeSignIn, Redemption
from identity_service.sign_in.tokens.token_service import TokenService
from meno.identity.v1.auth_service_pb2 import (
    RedeemOneTimeCodeRequest,
    RequestOneTimeCodeRequest,
    RequestOneTimeCodeResponse,
)
from meno.identity.v1.resources_pb2 import Tokens


class CodeServicer:
    """Sends codes, and signs users in with them."""

    def __init__(self, tokens: TokenService, code_sign_in: CodeSignIn) -> None:
        self._tokens = tokens
        self._code_sign_in = code_sign_in

    async def RequestOneTimeCode(
        self, request: RequestOneTimeCodeRequest, context: Context
    ) -> RequestOneTimeCodeResponse:
        expires_at = await self._code_sign_in.request_code(request.address)
        return RequestOneTimeCodeResponse(expire_time=to_timestamp(expires_at))

    async def RedeemOneTimeCode(self, request: RedeemOneTimeCodeRequest, context: Context) -> Tokens:
        begun = await self._code_sign_in.redeem(
            Redemption(
                request_id=request.request_id,
                address=request.address,
                code=request.code,
                new_password=request.new_password,
                display_name=request.display_name,
            )
        )
        return await self._tokens.issue(begun)
