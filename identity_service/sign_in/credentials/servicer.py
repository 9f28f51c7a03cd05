"""The part of AuthService that is about what a person signs in with."""

from chassis.calls import Context
from chassis.database import Database
from identity_service.administration.config.config import Config
from identity_service.errors import CodeInvalid, PasswordPresent, UserNotFound
from identity_service.people.users import rules as user_rules
from identity_service.people.users import servicer as users
from identity_service.people.users import store as user_store
from identity_service.people.users.store import Identifier
from identity_service.sign_in.codes.codes import Codes
from identity_service.sign_in.credentials import proofs, store
from identity_service.sign_in.credentials.linking import Link, PasswordAdded, Wish
from identity_service.sign_in.credentials.proofs import Proof
from identity_service.sign_in.issuers.issuers import Issuers
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.tokens import store as attempts
from identity_service.sign_in.tokens import throttling
from meno.identity.v1.auth_service_pb2 import LinkCredentialsRequest
from meno.identity.v1.user_service_pb2 import User


class CredentialServicer:
    """Adds to what a person signs in with."""

    def __init__(
        self, database: Database, passwords: Passwords, config: Config, issuers: Issuers, codes: Codes
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._config = config
        self._issuers = issuers
        self._codes = codes

    async def LinkCredentials(self, request: LinkCredentialsRequest, context: Context) -> User:
        if request.display_name:
            user_rules.check_visible("display_name", request.display_name)
        proof = await self._issuers.verify(request.id_token, request.nonce) if request.id_token else Proof()
        password_hash = await self._password_hash(request)
        try:
            redeemed = await self._link(request.user_id, _wish(request, password_hash, proof))
        except PasswordAdded:
            # Of calls at the same time one was first: the others find that it is done.
            await self._check_present(request)
            redeemed = await self._link(request.user_id, _wish(request, "", proof))
        if not redeemed:
            raise CodeInvalid()
        person = await user_store.get(self._database, request.user_id)
        if person is None:
            raise UserNotFound(request.user_id)
        return users.message(person)

    async def _password_hash(self, request: LinkCredentialsRequest) -> str:
        """The hash of the first password; empty where there is none to set, or it is set already.

        Raises PasswordPresent, SignInThrottled, PasswordCommon or PasswordBreached.
        """
        if not request.password:
            return ""
        if await store.password(self._database, request.user_id) is None:
            known = (request.login_name, request.email, request.phone, request.display_name)
            await self._passwords.check(request.password, *known)
            return await self._passwords.hash(request.password)
        counter = self._passwords.counter(request.user_id)
        await throttling.count_attempt(self._database, counter)
        await self._check_present(request)
        await attempts.forget_failures(self._database, counter)
        return ""

    async def _check_present(self, request: LinkCredentialsRequest) -> None:
        """Raises PasswordPresent, unless the password that is there is the one that is given."""
        stored = await store.password(self._database, request.user_id)
        if not await self._passwords.verify(request.password, stored):
            raise PasswordPresent()

    async def _link(self, user_id: str, wish: Wish) -> bool:
        """Adds what is wished; False where the code is not that of the address."""
        async with self._database.transaction() as transaction:
            link = Link(transaction, user_id)
            redeemed = await link.redeem(self._codes, wish)
            if redeemed:
                await link.add(self._config, wish)
        return redeemed


def _wish(request: LinkCredentialsRequest, password_hash: str, proof: Proof) -> Wish:
    given = [proofs.address(text) for text in (request.email, request.phone) if text]
    addresses = tuple(one for one in given if one is not None)
    name = request.login_name
    return Wish(
        login_name=Identifier("LOGIN_NAME", name, user_rules.canonical(name)) if name else None,
        proven=addresses[0] if request.code else None,
        code=request.code,
        claimed=addresses[1:] if request.code else addresses,
        password_hash=password_hash,
        proof=proof,
        display_name=request.display_name.strip(),
    )
