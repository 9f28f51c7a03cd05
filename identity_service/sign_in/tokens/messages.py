"""Maps tokens to messages."""

from datetime import datetime

from chassis.conversions import to_timestamp
from identity_service.people.users import messages as users
from identity_service.people.users.types import UserRow
from identity_service.sign_in.keys.types import AccessToken
from identity_service.sign_in.tokens.types import SignInTokens
from meno.identity.v1.resources_pb2 import Tokens


def to_message(access: AccessToken, refresh: SignInTokens, user: UserRow, now: datetime) -> Tokens:
    """Returns the tokens of a sign-in with their user."""
    return Tokens(
        access_token=access.text,
        access_token_expire_time=to_timestamp(access.expires_at),
        refresh_token=refresh.token.text(),
        refresh_token_expire_time=to_timestamp(refresh.expires_at),
        user=users.to_message(user, now),
    )
