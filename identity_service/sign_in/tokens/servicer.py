"""AuthService."""

from chassis.calls import Context
from chassis.database import Database
from chassis.errors import RequestIdReused
from identity_service.administration.config.config import Config
from identity_service.errors import (
    AccountDeactivated,
    CredentialsInvalid,
    RefreshTokenInvalid,
)
from identity_service.people.users import creation
from identity_service.people.users import rules as user_rules
from identity_service.people.users.creation import AccountExists, NewAccount
from identity_service.people.users.servicer import ROLES
from identity_service.sign_in.passwords import store as credentials
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.tokens import rules, store, throttling
from identity_service.sign_in.tokens.minting import Mint, Refreshable
from identity_service.sign_in.tokens.store import CredentialRow
from meno.identity.v1.auth_service_pb2 import (
    RefreshTokensRequest,
    SignInRequest,
    SignUpRequest,
    Tokens,
)
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceServicer


class AuthServicer(AuthServiceServicer):
    """Signing up, in and out."""

    def __init__(self, database: Database, mint: Mint, passwords: Passwords, config: Config) -> None:
        self._database = database
        self._mint = mint
        self._passwords = passwords
        self._config = config

    async def SignUp(self, request: SignUpRequest, context: Context) -> Tokens:
        wished = ROLES.text(request.role) if request.role else ""
        role = await creation.default_role(self._database, self._config, wished)
        user_rules.check_visible("display_name", request.display_name)
        await self._passwords.check(request.password, request.login_name, request.email, request.display_name)
        account = NewAccount(
            display_name=request.display_name.strip(),
            role=role,
            password_hash=await self._passwords.hash(request.password),
            login_name=request.login_name,
            email=request.email,
            phone=request.phone,
        )
        try:
            async with self._database.transaction() as transaction:
                user_id = await creation.create(transaction, account, request.request_id)
                begun = await self._mint.begin(transaction, user_id, request.request_id, request.password)
        except AccountExists:
            begun = await self._sign_in_again(request)
        return await self._mint.tokens(begun)

    async def SignIn(self, request: SignInRequest, context: Context) -> Tokens:
        name = user_rules.canonical(request.identifier)
        counter = self._passwords.counter(name)
        await throttling.count_attempt(self._database, counter)
        credential = await store.credential_by_identifier(self._database, name)
        if not await self._passwords.verify(request.password, credential and credential.password_hash):
            raise CredentialsInvalid()
        assert credential is not None
        # Before it is asked whether the person is let in: the password was right.
        await store.forget_failures(self._database, counter)
        async with self._database.transaction() as transaction:
            begun = await self._mint.begin(
                transaction, credential.user_id, request.request_id, request.password
            )
            # It may have been replaced since it was verified, which ended every sign-in but this one.
            still = await store.credential_by_identifier(transaction, name)
            if still != credential and not await self._passwords.verify(
                request.password, still and still.password_hash
            ):
                raise CredentialsInvalid()
        await self._renew_hash(credential, request.password)
        return await self._mint.tokens(begun)

    async def RefreshTokens(self, request: RefreshTokensRequest, context: Context) -> Tokens:
        presented = rules.parse(request.refresh_token)
        if presented is None:
            raise RefreshTokenInvalid()
        refreshed = await self._mint.refresh(presented)
        try:
            return await self._mint.tokens(refreshed)
        except (AccountDeactivated, CredentialsInvalid) as error:
            raise RefreshTokenInvalid() from error

    async def _renew_hash(self, credential: CredentialRow, password: str) -> None:
        """Replaces a hash that was made with other parameters than are used now."""
        if not self._passwords.is_outdated(credential.password_hash):
            return
        renewed = await self._passwords.hash(password)
        async with self._database.transaction() as transaction:
            await credentials.replace(transaction, *credential, renewed)

    async def _sign_in_again(self, request: SignUpRequest) -> Refreshable:
        """The sign-in of a sign-up that is repeated, for who knows the password."""
        user_id = await store.requested(self._database, request.request_id)
        if user_id is None:
            raise RequestIdReused(request.request_id)
        counter = self._passwords.counter(user_id)
        # One transaction, for the password is compared without hashing: repetitions at the same
        # time queue, and none of them has to wait for the others' attempts.
        async with self._database.transaction() as transaction:
            await throttling.count_attempt(transaction, counter)
            begun = await self._mint.begun(transaction, user_id, request.request_id, request.password)
            if begun is not None:
                await store.forget_failures(transaction, counter)
        if begun is None:
            raise RequestIdReused(request.request_id)
        return begun
