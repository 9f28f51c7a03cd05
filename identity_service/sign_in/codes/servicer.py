"""The part of AuthService that is about one-time codes."""

from chassis.calls import Context
from chassis.database import Database, Transaction
from chassis.errors import FieldInvalid
from chassis.wire import timestamp
from identity_service.administration.config.config import Config
from identity_service.errors import CodeInvalid, Refusal, TokensAlreadyRotated
from identity_service.people.users import rules as user_rules
from identity_service.people.users.store import Identifier
from identity_service.sign_in.codes.codes import Codes
from identity_service.sign_in.codes.letters import Letter
from identity_service.sign_in.codes.outgoing import Outgoing
from identity_service.sign_in.credentials import proofs, proving, store
from identity_service.sign_in.credentials.arriving import arrive
from identity_service.sign_in.credentials.proofs import Proof
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.tokens.minting import Mint, Refreshable
from meno.identity.v1.auth_service_pb2 import (
    RedeemOneTimeCodeRequest,
    RequestOneTimeCodeRequest,
    RequestOneTimeCodeResponse,
    Tokens,
)


class CodeServicer:
    """Sends codes, and signs in who has received one."""

    def __init__(
        self,
        database: Database,
        mint: Mint,
        passwords: Passwords,
        config: Config,
        *,
        codes: Codes,
        outgoing: Outgoing,
    ) -> None:
        self._database = database
        self._mint = mint
        self._passwords = passwords
        self._config = config
        self._codes = codes
        self._outgoing = outgoing

    async def RequestOneTimeCode(
        self, request: RequestOneTimeCodeRequest, context: Context
    ) -> RequestOneTimeCodeResponse:
        address = proofs.address(request.address)
        if address is None or address.kind not in self._outgoing.reaches:
            raise FieldInvalid.of(
                "address", "is of a kind to which this installation sends codes", "one_time_code.reached"
            )
        code, expires_at = await self._codes.issue(self._database, address.canonical)
        # Both are asked whatever the first says: nobody learns from the time who is here.
        known = await store.who_has(self._database, address.canonical)
        admitted = await self._config.value(self._database, "sign_up_open")
        if known or admitted:
            self._outgoing.put(Letter(address.kind, address.value, code, expires_at))
        return RequestOneTimeCodeResponse(expire_time=timestamp(expires_at))

    async def RedeemOneTimeCode(self, request: RedeemOneTimeCodeRequest, context: Context) -> Tokens:
        address = proofs.address(request.address)
        if address is None:
            raise CodeInvalid()
        if request.display_name:
            user_rules.check_visible("display_name", request.display_name)
        password_hash = await self._hash(request)
        async with self._database.transaction() as transaction:
            if await self._codes.redeem(transaction, address.canonical, request.code):
                begun: Refreshable | Refusal = await self._begin(transaction, address, request, password_hash)
            else:
                begun = await self._begun(transaction, address, request)
        if isinstance(begun, Refusal):
            raise begun
        return await self._mint.tokens(begun)

    async def _hash(self, request: RedeemOneTimeCodeRequest) -> str:
        """The hash of the new password; empty where there is none."""
        if not request.new_password:
            return ""
        await self._passwords.check(request.new_password, request.address, request.display_name)
        return await self._passwords.hash(request.new_password)

    async def _begin(
        self,
        transaction: Transaction,
        address: Identifier,
        request: RedeemOneTimeCodeRequest,
        password_hash: str,
    ) -> Refreshable:
        proof = Proof((address,), name=request.display_name.strip())
        user_id = await arrive(transaction, self._config, proof)
        if password_hash:
            await proving.reset_password(transaction, user_id, password_hash, address.kind)
        return await self._mint.begin(transaction, user_id, request.request_id, _shown(address, request))

    async def _begun(
        self, transaction: Transaction, address: Identifier, request: RedeemOneTimeCodeRequest
    ) -> Refreshable | Refusal:
        """The sign-in that this request began when its code was still to be redeemed, or why there is none.

        A refusal is returned, to be raised when the wrong code is counted for good.
        """
        user_id = await store.who_has(transaction, address.canonical)
        if user_id is None or not request.request_id:
            return CodeInvalid()
        shown = _shown(address, request)
        try:
            begun = await self._mint.begun(transaction, user_id, request.request_id, shown)
        except TokensAlreadyRotated as rotated:
            return rotated
        if begun is None:
            return CodeInvalid()
        await self._codes.forget_attempts(transaction, address.canonical)
        return begun


def _shown(address: Identifier, request: RedeemOneTimeCodeRequest) -> str:
    """What a repetition must show again."""
    return "\0".join((address.canonical, request.code, request.new_password))
