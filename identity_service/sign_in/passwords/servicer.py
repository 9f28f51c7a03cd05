"""Handler of AuthService for passwords."""

from google.protobuf.empty_pb2 import Empty

from chassis.calls import Context, caller
from chassis.database import Database
from identity_service.sign_in.passwords import commands
from identity_service.sign_in.passwords.hashing import Passwords
from meno.identity.v1.auth_service_pb2 import ChangePasswordRequest


class PasswordServicer:
    """Changes passwords."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def ChangePassword(self, request: ChangePasswordRequest, context: Context) -> Empty:
        await commands.change_password(
            self._database,
            self._passwords,
            request.user_id,
            old_password=request.old_password,
            new_password=request.new_password,
            current_sign_in_id=caller().sign_in_id,
        )
        return Empty()
