"""The part of AuthService that is about ID tokens."""

from chassis.calls import Context
from chassis.database import Database
from identity_service.administration.config.config import Config
from identity_service.people.users import rules as user_rules
from identity_service.sign_in.credentials.arriving import arrive
from identity_service.sign_in.issuers.issuers import Issuers
from identity_service.sign_in.tokens.minting import Mint
from meno.identity.v1.auth_service_pb2 import SignInWithIdTokenRequest, Tokens


class IdTokenServicer:
    """Signs in whom an issuer vouches for."""

    def __init__(self, database: Database, mint: Mint, config: Config, issuers: Issuers) -> None:
        self._database = database
        self._mint = mint
        self._config = config
        self._issuers = issuers

    async def SignInWithIdToken(self, request: SignInWithIdTokenRequest, context: Context) -> Tokens:
        if request.display_name:
            user_rules.check_visible("display_name", request.display_name)
        proof = await self._issuers.verify(request.id_token, request.nonce)
        proof = proof._replace(name=proof.name or request.display_name.strip())
        async with self._database.transaction() as transaction:
            user_id = await arrive(transaction, self._config, proof)
            begun = await self._mint.begin(transaction, user_id, request.request_id, request.id_token)
        return await self._mint.tokens(begun)
