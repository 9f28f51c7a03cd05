"""Requests and redeems one-time codes."""

from datetime import datetime
from typing import NamedTuple

from chassis.database import Database, Transaction
from chassis.errors import FieldInvalid
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import CodeInvalid, IdentityError, TokensAlreadyRotated
from identity_service.people.users import store as users
from identity_service.people.users.types import Identifier
from identity_service.sign_in.codes.delivery_queue import DeliveryQueue
from identity_service.sign_in.codes.one_time_codes import OneTimeCodes
from identity_service.sign_in.codes.types import CodeMessage
from identity_service.sign_in.identifiers import rules as identifier_rules
from identity_service.sign_in.identifiers import verification
from identity_service.sign_in.identifiers.commands import sign_in_or_sign_up
from identity_service.sign_in.identifiers.types import VerifiedIdentity
from identity_service.sign_in.passwords import rules as password_rules
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.tokens.token_service import TokenService
from identity_service.sign_in.tokens.types import SignInTokens


class Redemption(NamedTuple):
    """The data that a user enters to redeem a code."""

    request_id: str
    address: str
    code: str
    new_password: str
    """Empty to keep the current password."""
    display_name: str
    """Used only for a new account."""


class CodeSignIn:
    """Sends one-time codes, and signs users in with them."""

    def __init__(
        self,
        database: Database,
        tokens: TokenService,
        passwords: Passwords,
        config: ConfigReader,
        *,
        codes: OneTimeCodes,
        queue: DeliveryQueue,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._passwords = passwords
        self._config = config
        self._codes = codes
        self._queue = queue

    async def request_code(self, text: str) -> datetime:
        """Sends a code to an address and returns its expiry.

        Raises FieldInvalid if the sender cannot reach the address, or SignInRateLimited.
        """
        address = identifier_rules.parse_address(text)
        if address is None or address.kind not in self._queue.reaches:
            raise FieldInvalid.of(
                "address",
                "must be of a kind to which this installation sends codes",
                "one_time_code.reached",
            )
        code, expires_at = await self._codes.issue(self._database, address.canonical)
        # Both are always read, so that the response time does not reveal whether the address has an account.
        user_id = await users.user_id_by_identifier(self._database, address.canonical)
        sign_up_enabled = await self._config.value(self._database, "sign_up_enabled")
        if user_id or sign_up_enabled:
            self._queue.enqueue(CodeMessage(address.kind, address.value, code, expires_at))
        return expires_at

    async def redeem(self, redemption: Redemption) -> SignInTokens:
        """Redeems a code and signs its user in. A retry of the request returns the same sign-in.

        Raises CodeInvalid, SignInRateLimited, FieldInvalid, PasswordCommon, PasswordBreached,
        SignUpDisabled, AccountDeactivated, RequestIdReused or TokensAlreadyRotated.
        """
        address = identifier_rules.parse_address(redemption.address)
        if address is None:
            raise CodeInvalid()
        password_hash = ""
        if redemption.new_password:
            # The code is verified first. Otherwise, requests with invented codes could fill the queue of hashing.
            previous = await self._find_unless_valid(address, redemption)
            if previous is not None:
                return _unwrap(previous)
            password_hash = await self._hash_new_password(redemption)
        async with self._database.transaction() as transaction:
            if await self._codes.redeem(transaction, address.canonical, redemption.code):
                result: SignInTokens | IdentityError = await self._begin(
                    transaction, address, redemption, password_hash
                )
            else:
                result = await self._find_previous(transaction, address, redemption)
        return _unwrap(result)

    async def _find_unless_valid(
        self, address: Identifier, redemption: Redemption
    ) -> SignInTokens | IdentityError | None:
        """Returns None if the code is valid, and otherwise the earlier sign-in of the request, or an error."""
        async with self._database.transaction() as transaction:
            if await self._codes.verify(transaction, address.canonical, redemption.code):
                return None
            return await self._find_previous(transaction, address, redemption)

    async def _hash_new_password(self, redemption: Redemption) -> str:
        password = redemption.new_password
        await self._passwords.check(
            password, redemption.address, redemption.display_name, field="new_password"
        )
        return await self._passwords.hash(password)

    async def _begin(
        self, transaction: Transaction, address: Identifier, redemption: Redemption, password_hash: str
    ) -> SignInTokens:
        verified = VerifiedIdentity((address,), name=redemption.display_name)
        user_id = await sign_in_or_sign_up(transaction, self._config, verified)
        if password_hash:
            await verification.reset_password(transaction, user_id, password_hash, address.kind)
        proof = _proof(address, redemption)
        return await self._tokens.begin(transaction, user_id, redemption.request_id, proof, kind="CODE")

    async def _find_previous(
        self, transaction: Transaction, address: Identifier, redemption: Redemption
    ) -> SignInTokens | IdentityError:
        """Returns the sign-in that the same request began earlier, or an error.

        The error is returned instead of raised, so that the transaction commits the count of wrong
        attempts first.
        """
        user_id = await users.user_id_by_identifier(transaction, address.canonical)
        begun = None
        if user_id is not None and redemption.request_id:
            proof = _proof(address, redemption)
            try:
                begun = await self._tokens.find_by_request(transaction, user_id, redemption.request_id, proof)
            except TokensAlreadyRotated as error:
                return error
        if begun is None:
            await self._codes.audit_failure(transaction, address.canonical, user_id)
            return CodeInvalid()
        await self._codes.reset_attempts(transaction, address.canonical)
        return begun


def _unwrap(result: SignInTokens | IdentityError) -> SignInTokens:
    """Returns the tokens, or raises the error after the transaction was committed."""
    if isinstance(result, IdentityError):
        raise result
    return result


def _proof(address: Identifier, redemption: Redemption) -> str:
    """Returns the values that a retry of the request must repeat."""
    password = password_rules.canonicalize(redemption.new_password)
    return "\0".join((address.canonical, redemption.code, password))
