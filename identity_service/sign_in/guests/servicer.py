"""Handlers of AuthService for guests."""

from datetime import UTC, datetime

from chassis.calls import Context
from chassis.database import Database
from identity_service.administration.config.reader import ConfigReader
from identity_service.people.users import messages as users
from identity_service.sign_in.guests import commands
from identity_service.sign_in.tokens.token_service import TokenService
from meno.identity.v1.auth_service_pb2 import MergeGuestRequest, SignInAsGuestRequest
from meno.identity.v1.resources_pb2 import Tokens, User


class GuestServicer:
    """Signs guests in, and merges them into other accounts."""

    def __init__(self, database: Database, tokens: TokenService, config: ConfigReader) -> None:
        self._database = database
        self._tokens = tokens
        self._config = config

    async def SignInAsGuest(self, request: SignInAsGuestRequest, context: Context) -> Tokens:
        begun = await commands.sign_in_as_guest(
            self._database, self._tokens, self._config, request.display_name
        )
        return await self._tokens.issue(begun)

    async def MergeGuest(self, request: MergeGuestRequest, context: Context) -> User:
        async with self._database.transaction() as transaction:
            user = await commands.merge_guest(transaction, request.guest_refresh_token, request.user_id)
        return users.to_message(user, datetime.now(UTC))
