"""Signs users up and in with passwords, and refreshes sign-ins."""

from datetime import UTC, datetime
from typing import NamedTuple

from chassis.database import Database, Transaction
from chassis.errors import RequestIdReused
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import (
    AccountDeactivated,
    CredentialsInvalid,
    IdentifierTaken,
    RefreshTokenInvalid,
    TokensAlreadyRotated,
)
from identity_service.people.users import creation
from identity_service.people.users import rules as user_rules
from identity_service.people.users.creation import AccountExists, NewAccount
from identity_service.sign_in.identifiers import rules as identifier_rules
from identity_service.sign_in.passwords import rules as password_rules
from identity_service.sign_in.passwords import store as password_store
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.passwords.types import CredentialRow
from identity_service.sign_in.throttle import commands as throttle
from identity_service.sign_in.throttle.rules import Counter
from identity_service.sign_in.tokens import rules, store
from identity_service.sign_in.tokens.rules import RefreshOutcome
from identity_service.sign_in.tokens.token_service import TokenService
from identity_service.sign_in.tokens.types import RefreshToken, SignInTokens


class SignUpForm(NamedTuple):
    """The data that a user enters to sign up."""

    request_id: str
    requested_role: str
    """Empty for the configured default."""
    display_name: str
    login_name: str
    email: str
    phone: str
    password: str

    def identifiers(self) -> list[str]:
        """Returns the names of the fields with an identifier."""
        return [name for name in ("login_name", "email", "phone") if getattr(self, name)]


class PasswordSignIn:
    """Signs users up and in with passwords."""

    def __init__(
        self, database: Database, tokens: TokenService, passwords: Passwords, config: ConfigReader
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._passwords = passwords
        self._config = config

    async def sign_up(self, form: SignUpForm) -> SignInTokens:
        """Creates an account and signs it in. A retry of the request returns the same sign-in.

        Raises SignUpDisabled, RoleNotAllowed, FieldInvalid, PasswordCommon, PasswordBreached,
        IdentifierTaken, RequestIdReused, TokensAlreadyRotated or SignInRateLimited.
        """
        role = await creation.default_role(self._database, self._config, form.requested_role)
        await self._passwords.check(form.password, form.login_name, form.email, form.display_name)
        account = NewAccount(
            display_name=form.display_name,
            role=role,
            password_hash=await self._passwords.hash(form.password),
            login_name=form.login_name,
            email=form.email,
            phone=form.phone,
        )
        try:
            async with self._database.transaction() as transaction:
                user_id = await creation.create(transaction, account, form.request_id)
                proof = password_rules.canonicalize(form.password)
                return await self._tokens.begin(transaction, user_id, form.request_id, proof)
        except AccountExists:
            return await self._find_sign_up(form)
        except IdentifierTaken as error:
            raise IdentifierTaken(*form.identifiers()) from error

    async def sign_in(
        self, identifier: str, password: str, request_id: str, refresh_token: str = ""
    ) -> SignInTokens:
        """Signs a user in. A retry of the request returns the same sign-in.

        `refresh_token` proves that the device is known: the user has signed in on it before.
        Raises CredentialsInvalid, AccountDeactivated, SignInRateLimited, RequestIdReused or
        TokensAlreadyRotated.
        """
        canonical = user_rules.canonicalize(identifier_rules.trim(identifier))
        credential = await password_store.get_by_identifier(self._database, canonical)
        counter = await self._count_attempt(canonical, credential, refresh_token)
        if not await self._is_password_of(credential, password) or credential is None:
            async with self._database.transaction() as transaction:
                user_id = credential.user_id if credential else None
                await throttle.audit_failure(transaction, counter, "PASSWORD", user_id)
            raise CredentialsInvalid()
        self._passwords.networks.uncount_attempt(throttle.current_network())
        try:
            begun = await self._begin(credential, canonical, password, request_id, counter)
        except (AccountDeactivated, RequestIdReused, TokensAlreadyRotated):
            # The failures are reset nevertheless, because the password was correct.
            await throttle.reset_failures(self._database, counter)
            raise
        await self._rehash_if_outdated(credential, password)
        return begun

    async def _begin(
        self, credential: CredentialRow, canonical: str, password: str, request_id: str, counter: Counter
    ) -> SignInTokens:
        proof = password_rules.canonicalize(password)
        async with self._database.transaction() as transaction:
            await throttle.reset_failures(transaction, counter)
            begun = await self._tokens.begin(
                transaction, credential.user_id, request_id, proof, kind="PASSWORD"
            )
            # The password may have been replaced after it was verified. The replacement ended every
            # sign-in except this one, which did not exist yet.
            current = await password_store.get_by_identifier(transaction, canonical)
            if current != credential and not await self._is_password_of(current, password):
                raise CredentialsInvalid()
        return begun

    async def _count_attempt(
        self, canonical: str, credential: CredentialRow | None, refresh_token: str
    ) -> Counter:
        """Counts an attempt as a failure and returns its counter. Raises SignInRateLimited.

        Failures of others do not delay a device on which the user has signed in before.
        """
        network, limit = throttle.current_network(), self._passwords.networks
        device = rules.parse(refresh_token)
        if credential and device and self._tokens.was_issued_to(device, credential.user_id):
            counter = self._passwords.device_counter(credential.user_id, device.sign_in_id)
        else:
            limit.check(network)
            counter = self._passwords.counter(canonical)
        await throttle.count_attempt(self._database, counter)
        limit.count_attempt(network)
        return counter

    async def _is_password_of(self, credential: CredentialRow | None, password: str) -> bool:
        return await self._passwords.verify(password, credential and credential.password_hash)

    async def _rehash_if_outdated(self, credential: CredentialRow, password: str) -> None:
        """Replaces a hash that was created with outdated parameters, or from another form of the password."""
        if not await self._passwords.is_outdated(password, credential.password_hash):
            return
        new_hash = await self._passwords.hash(password)
        async with self._database.transaction() as transaction:
            await password_store.replace(transaction, *credential, new_hash)

    async def _find_sign_up(self, form: SignUpForm) -> SignInTokens:
        """Returns the sign-in of a repeated sign-up, if the password is the same."""
        user_id = await store.get_sign_up_request(self._database, form.request_id)
        if user_id is None:
            raise RequestIdReused(form.request_id)
        counter = self._passwords.counter(user_id)
        # One transaction, so that concurrent retries queue and no retry is delayed by the attempts of the
        # others. It is short, because the password is compared without argon2id.
        async with self._database.transaction() as transaction:
            await throttle.count_attempt(transaction, counter)
            proof = password_rules.canonicalize(form.password)
            begun = await self._tokens.find_by_request(transaction, user_id, form.request_id, proof)
            if begun is not None:
                await throttle.reset_failures(transaction, counter)
        if begun is None:
            raise RequestIdReused(form.request_id)
        return begun


async def refresh(tokens: TokenService, refresh_token: str) -> SignInTokens:
    """Exchanges a refresh token for its successor. Raises RefreshTokenInvalid."""
    presented = rules.parse(refresh_token)
    if presented is None:
        raise RefreshTokenInvalid()
    return await tokens.refresh(presented)


async def is_valid(transaction: Transaction, presented: RefreshToken) -> bool:
    """Returns whether a refresh token could be exchanged now. Locks its sign-in."""
    row = await store.get_for_update(transaction, presented.user_id, presented.sign_in_id)
    if row is None:
        return False
    outcome = rules.check_refresh(row, presented.hash(), datetime.now(UTC))
    return outcome in (RefreshOutcome.ROTATE, RefreshOutcome.REPEAT)
