"""Handlers of AuthService for sign-up, sign-in with a password, and refresh."""

from chassis.calls import Context
from identity_service.errors import AccountDeactivated, CredentialsInvalid, RefreshTokenInvalid
from identity_service.people.users.messages import ROLES
from identity_service.sign_in.tokens import commands
from identity_service.sign_in.tokens.commands import PasswordSignIn, SignUpForm
from identity_service.sign_in.tokens.token_service import TokenService
from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest, SignInRequest, SignUpRequest
from meno.identity.v1.resources_pb2 import Tokens


class TokenServicer:
    """Signs users up and in, and refreshes their tokens."""

    def __init__(self, tokens: TokenService, password_sign_in: PasswordSignIn) -> None:
        self._tokens = tokens
        self._password_sign_in = password_sign_in

    async def SignUp(self, request: SignUpRequest, context: Context) -> Tokens:
        form = SignUpForm(
            request_id=request.request_id,
            requested_role=ROLES.name(request.role) if request.role else "",
            display_name=request.display_name,
            login_name=request.login_name,
            email=request.email,
            phone=request.phone,
            password=request.password,
        )
        return await self._tokens.issue(await self._password_sign_in.sign_up(form))

    async def SignIn(self, request: SignInRequest, context: Context) -> Tokens:
        # The contract permits exactly one of the four. All kinds of identifiers share one name space.
        identifier = request.login_name or request.email or request.phone or request.identifier
        begun = await self._password_sign_in.sign_in(
            identifier, request.password, request.request_id, request.refresh_token
        )
        return await self._tokens.issue(begun)

    async def RefreshTokens(self, request: RefreshTokensRequest, context: Context) -> Tokens:
        refreshed = await commands.refresh(self._tokens, request.refresh_token)
        try:
            return await self._tokens.issue(refreshed)
        except (AccountDeactivated, CredentialsInvalid) as error:
            raise RefreshTokenInvalid() from error
