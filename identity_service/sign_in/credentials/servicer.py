"""Handler of AuthService for credentials."""

from datetime import UTC, datetime

from chassis.calls import Context, caller
from chassis.database import Database
from identity_service.errors import UserNotFound
from identity_service.people.users import messages as users
from identity_service.people.users import store as user_store
from identity_service.sign_in.credentials.commands import CredentialLinker, LinkForm
from meno.identity.v1.auth_service_pb2 import LinkCredentialsRequest
from meno.identity.v1.resources_pb2 import User


class CredentialServicer:
    """Adds credentials to accounts."""

    def __init__(self, database: Database, linker: CredentialLinker) -> None:
        self._database = database
        self._linker = linker

    async def LinkCredentials(self, request: LinkCredentialsRequest, context: Context) -> User:
        form = LinkForm(
            login_name=request.login_name,
            email=request.email,
            phone=request.phone,
            code=request.code,
            password=request.password,
            id_token=request.id_token,
            nonce=request.nonce,
            display_name=request.display_name,
            guest_refresh_token=request.guest_refresh_token,
        )
        await self._linker.link(request.user_id, form, caller())
        user = await user_store.get(self._database, request.user_id)
        if user is None:
            raise UserNotFound(request.user_id)
        return users.to_message(user, datetime.now(UTC))
