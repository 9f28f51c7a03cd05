"""Links credentials to the account of a signed-in user."""

from typing import NamedTuple

from chassis import audit
from chassis.calls import Caller
from chassis.database import Database, Transaction
from chassis.errors import TokenRevoked
from identity_service import reauthentication
from identity_service.account_feed import commands as account_feed
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import (
    CodeInvalid,
    CodeRequired,
    IdentifierTaken,
    PasswordAlreadySet,
    ReauthenticationRequired,
    UserNotFound,
)
from identity_service.people.users import creation
from identity_service.people.users import rules as user_rules
from identity_service.people.users.types import Identifier
from identity_service.sign_in.codes.one_time_codes import OneTimeCodes
from identity_service.sign_in.credentials import rules, store
from identity_service.sign_in.credentials.types import LinkRequest, UserRow
from identity_service.sign_in.identifiers import rules as identifier_rules
from identity_service.sign_in.identifiers import store as identifiers
from identity_service.sign_in.identifiers import verification
from identity_service.sign_in.identifiers.rules import LinkDecision
from identity_service.sign_in.identifiers.types import VerifiedIdentity
from identity_service.sign_in.issuers.verifier import IdTokenVerifier
from identity_service.sign_in.passwords import store as password_store
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.throttle import commands as throttle
from identity_service.sign_in.tokens import commands as tokens
from identity_service.sign_in.tokens import rules as token_rules
from meno.access.v1.resources_pb2 import AuditAction


class ConcurrentPasswordChange(Exception):
    """Another transaction added a password to the account at the same time."""


class LinkForm(NamedTuple):
    """The data that a user enters to add credentials. Each field may be empty."""

    login_name: str
    email: str
    phone: str
    code: str
    """The code for the e-mail address, or for the phone number if there is no e-mail address."""
    password: str
    id_token: str
    nonce: str
    display_name: str
    guest_refresh_token: str


class CredentialLinker:
    """Adds credentials to an account."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        config: ConfigReader,
        verifier: IdTokenVerifier,
        codes: OneTimeCodes,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._config = config
        self._verifier = verifier
        self._codes = codes

    async def link(self, user_id: str, form: LinkForm, caller: Caller) -> None:
        """Adds credentials to an account. A retry has no further effect.

        Raises FieldInvalid, IdTokenInvalid, ServiceUnavailable, PasswordAlreadySet, SignInRateLimited,
        PasswordCommon, PasswordBreached, CodeInvalid, CodeRequired, IdentifierTaken,
        ReauthenticationRequired, SignUpDisabled, TokenRevoked or UserNotFound.
        """
        verified = VerifiedIdentity()
        if form.id_token:
            verified = await self._verifier.verify(form.id_token, form.nonce)
        request = _to_request(form, await self._hash_password(user_id, form), verified)
        try:
            redeemed = await self._link(user_id, request, caller)
        except ConcurrentPasswordChange:
            # A concurrent call of the same user was first. If it set the same password, this call succeeds.
            await self._check_same_password(user_id, form.password)
            redeemed = await self._link(user_id, request._replace(password_hash=""), caller)
        if not redeemed:
            raise CodeInvalid()

    async def _hash_password(self, user_id: str, form: LinkForm) -> str:
        """Returns the hash of the first password; empty if the form has none, or it is already set."""
        if not form.password:
            return ""
        if await password_store.get(self._database, user_id) is None:
            known = (form.login_name, form.email, form.phone, form.display_name)
            await self._passwords.check(form.password, *known)
            return await self._passwords.hash(form.password)
        counter = self._passwords.counter(user_id)
        await throttle.count_attempt(self._database, counter)
        await self._check_same_password(user_id, form.password)
        await throttle.reset_failures(self._database, counter)
        return ""

    async def _check_same_password(self, user_id: str, password: str) -> None:
        """Raises PasswordAlreadySet unless the password of the account is this one."""
        stored = await password_store.get(self._database, user_id)
        if not await self._passwords.verify(password, stored):
            raise PasswordAlreadySet()

    async def _link(self, user_id: str, request: LinkRequest, caller: Caller) -> bool:
        """Adds the credentials; returns False if the code is wrong, which commits the count of attempts."""
        try:
            async with self._database.transaction() as transaction:
                link = _Link(transaction, user_id, caller)
                redeemed = await link.redeem(self._codes, request)
                if redeemed:
                    await link.add(self._config, request)
                elif request.address_with_code:
                    await self._codes.audit_failure(transaction, request.address_with_code.canonical, user_id)
        except IdentifierTaken as error:
            raise IdentifierTaken(*request.identifier_fields()) from error
        return redeemed


class _Link:
    """Adds credentials to one account, in one transaction."""

    def __init__(self, transaction: Transaction, user_id: str, caller: Caller) -> None:
        self._transaction = transaction
        self._user_id = user_id
        self._caller = caller
        self._changed = False

    async def redeem(self, codes: OneTimeCodes, request: LinkRequest) -> bool:
        """Returns whether the code verifies its address, or the user has verified the address before.

        The caller must commit the transaction also if the result is False, because the attempt is counted.
        """
        address = request.address_with_code
        if address is None or await self._has_verified(address):
            return True
        if await codes.redeem(self._transaction, address.canonical, request.code):
            return True
        # A concurrent call of the same user may have redeemed the code meanwhile.
        if not await self._has_verified(address):
            return False
        await codes.reset_attempts(self._transaction, address.canonical)
        return True

    async def add(self, config: ConfigReader, request: LinkRequest) -> None:
        """Adds the credentials.

        Raises IdentifierTaken, CodeRequired, ReauthenticationRequired, SignUpDisabled, TokenRevoked,
        UserNotFound or ConcurrentPasswordChange.
        """
        await identifiers.lock(self._transaction, request.lock_keys())
        user = await store.get_user_for_update(self._transaction, self._user_id)
        if user is None:
            raise UserNotFound(self._user_id)
        # The interceptor learns of a revocation with a delay. Without this check, a caller whose account
        # was taken over could add a credential within that delay.
        if self._caller.rights_version < user.rights_version:
            raise TokenRevoked()
        if request.login_name:
            await self._set_login_name(request.login_name)
        if request.address_with_code:
            await self._verify(request.address_with_code)
        for address in request.claimed_addresses:
            await self._claim(address)
        if request.password_hash:
            await self._add_password(request.password_hash)
        await self._add_identity(request.verified)
        # A stolen access token must not add credentials that outlive it.
        if self._changed and not await self._is_confirmed(user, request):
            raise ReauthenticationRequired()
        await self._update_user(config, user, request)

    async def _is_confirmed(self, user: UserRow, request: LinkRequest) -> bool:
        """Returns whether the sign-in is recent, or a guest, who cannot sign in again, has the refresh token."""
        if await reauthentication.is_recent(self._transaction, self._caller):
            return True
        presented = token_rules.parse(request.guest_refresh_token)
        if not user.guest or presented is None or presented.user_id != self._user_id:
            return False
        return await tokens.is_valid(self._transaction, presented)

    async def _has_verified(self, address: Identifier) -> bool:
        current = (await identifiers.list_by_user(self._transaction, self._user_id)).get(address.kind)
        return current is not None and current.verified and current.canonical == address.canonical

    async def _set_login_name(self, name: Identifier) -> None:
        current = (await identifiers.list_by_user(self._transaction, self._user_id)).get(name.kind)
        if current is not None and current.value == name.value:
            return
        await identifiers.delete_by_kind(self._transaction, self._user_id, name.kind)
        await self._add(name)

    async def _claim(self, address: Identifier) -> None:
        current = (await identifiers.list_by_user(self._transaction, self._user_id)).get(address.kind)
        if current is None:
            await self._add(address)
        elif current.canonical != address.canonical:
            raise CodeRequired(address.kind.lower())

    async def _add(self, identifier: Identifier) -> None:
        # A deleted account keeps its login name, but no address that it has not verified.
        await creation.release_claim(self._transaction, identifier)
        if not await identifiers.add(self._transaction, self._user_id, identifier, verified=False):
            raise IdentifierTaken(identifier.kind.lower())
        await verification.record_linked(self._transaction, self._user_id, identifier.kind)
        self._changed = True

    async def _verify(self, address: Identifier) -> None:
        decision = await verification.verify_identifier(self._transaction, self._user_id, address)
        if decision is LinkDecision.REJECT:
            raise IdentifierTaken(address.kind.lower())
        self._changed |= decision is not LinkDecision.KEEP

    async def _add_password(self, password_hash: str) -> None:
        if not await password_store.add(self._transaction, self._user_id, password_hash):
            raise ConcurrentPasswordChange()
        action = AuditAction.AUDIT_ACTION_PASSWORD_CHANGED
        await audit.record(self._transaction, action, user_id=self._user_id)
        self._changed = True

    async def _add_identity(self, verified: VerifiedIdentity) -> None:
        if verified.identity is None:
            return
        known = await identifiers.user_id_by_identity(self._transaction, verified.identity)
        if known is not None and known != self._user_id:
            raise IdentifierTaken("id_token")
        if known is None:
            await verification.store_verified(self._transaction, self._user_id, verified)
            self._changed = True

    async def _update_user(self, config: ConfigReader, user: UserRow, request: LinkRequest) -> None:
        """Updates the name. A guest who has an identifier becomes a regular user."""
        converted = user.guest and request.has_identifier()
        name = rules.choose_display_name(request, user, converted=converted)
        role = await creation.default_role(self._transaction, config) if converted else user.role
        if not (self._changed or converted or name != user.display_name):
            return
        updated = user._replace(
            display_name=name,
            nickname=rules.choose_nickname(user, name),
            role=role,
            guest=user.guest and not converted,
        )
        await store.update_user(self._transaction, self._user_id, updated)
        if converted:
            await self._record_converted(user, role)

    async def _record_converted(self, user: UserRow, role: str) -> None:
        action = AuditAction.AUDIT_ACTION_USER_CREATED
        await audit.record(self._transaction, action, user_id=self._user_id, role=role)
        if role != user.role:
            await account_feed.revoke_tokens(self._transaction, self._user_id)


def _to_request(form: LinkForm, password_hash: str, verified: VerifiedIdentity) -> LinkRequest:
    parsed = [identifier_rules.parse_address(text) for text in (form.email, form.phone) if text]
    addresses = tuple(address for address in parsed if address is not None)
    return LinkRequest(
        login_name=user_rules.login_name(form.login_name) if form.login_name else None,
        address_with_code=addresses[0] if form.code else None,
        code=form.code,
        claimed_addresses=addresses[1:] if form.code else addresses,
        password_hash=password_hash,
        verified=verified,
        display_name=form.display_name,
        guest_refresh_token=form.guest_refresh_token,
    )
