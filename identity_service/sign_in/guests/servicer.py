"""The part of AuthService that is about guests."""

from chassis.calls import Context
from chassis.database import Database
from identity_service.administration.config.config import Config
from identity_service.errors import GuestsNotAdmitted, RefreshTokenInvalid
from identity_service.people.users import rules as user_rules
from identity_service.people.users import servicer as users
from identity_service.people.users import store as user_store
from identity_service.sign_in.guests import merging, store
from identity_service.sign_in.tokens import rules
from identity_service.sign_in.tokens.minting import Mint
from meno.identity.v1.auth_service_pb2 import MergeGuestRequest, SignInAsGuestRequest, Tokens
from meno.identity.v1.user_service_pb2 import User

NAME = "Guest"
"""Of who does not give another."""


class GuestServicer:
    """Lets guests in, and makes them part of who they turn out to be."""

    def __init__(self, database: Database, mint: Mint, config: Config) -> None:
        self._database = database
        self._mint = mint
        self._config = config

    async def SignInAsGuest(self, request: SignInAsGuestRequest, context: Context) -> Tokens:
        if not await self._config.value(self._database, "guests_admitted"):
            raise GuestsNotAdmitted()
        name = (request.display_name or NAME).strip()
        user_rules.check_visible("display_name", name)
        async with self._database.transaction() as transaction:
            user_id = await store.add(transaction, name, user_rules.default_nickname(name))
            begun = await self._mint.begin(transaction, user_id, "", "")
        return await self._mint.tokens(begun)

    async def MergeGuest(self, request: MergeGuestRequest, context: Context) -> User:
        presented = rules.parse(request.guest_refresh_token)
        if presented is None:
            raise RefreshTokenInvalid()
        async with self._database.transaction() as transaction:
            await merging.merge(transaction, presented, request.user_id)
            person = await user_store.get(transaction, request.user_id)
        assert person is not None
        return users.message(person)
