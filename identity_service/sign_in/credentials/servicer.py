"""Handler of AuthService for credentials."""

from datetime import UTC, datetime

from chassis.calls import Context, caller
from chassis.database import Database
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import UserNotFound
from identity_service.people.users import messages as users
from identity_service.people.users import store as user_store
from identity_service.sign_in.codes.one_time_codes import OneTimeCodes
from identity_service.sign_in.credentials.commands import CredentialLinker, LinkForm
from identity_service.sign_in.issuers.verifier import IdTokenVerifier
from identity_service.sign_in.passwords.hashing import Passwords
from meno.identity.v1.auth_service_pb2 import LinkCredentialsRequest
from meno.identity.v1.resources_pb2 import User


class CredentialServicer:
    """Adds credentials to accounts."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        config: ConfigReader,
        verifier: IdTokenVerifier,
        codes: OneTimeCodes,
    ) -> None:
        self._database = database
        self._linker = CredentialLinker(database, passwords, config, verifier, codes)

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
        )
        await self._linker.link(request.user_id, form, caller())
        user = await user_store.get(self._database, request.user_id)
        if user is None:
            raise UserNotFound(request.user_id)
        return users.to_message(user, datetime.now(UTC))
