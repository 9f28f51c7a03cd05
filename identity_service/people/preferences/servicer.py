"""The RPCs of UserService for settings."""

from chassis.calls import Context
from chassis.database import Database
from chassis.idempotency import write
from identity_service.people.preferences import commands
from identity_service.people.preferences.messages import read_changes, to_message
from meno.identity.v1.resources_pb2 import UserSettings
from meno.identity.v1.user_service_pb2 import GetSettingsRequest, UpdateSettingsRequest


class PreferenceServicer:
    """Serves the settings of users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetSettings(self, request: GetSettingsRequest, context: Context) -> UserSettings:
        return to_message(await commands.get_preferences(self._database, request.user_id))

    async def UpdateSettings(self, request: UpdateSettingsRequest, context: Context) -> UserSettings:
        changes = read_changes(request)
        async with write(self._database) as transaction:
            row = await commands.update_preferences(transaction, request.user_id, request.etag, changes)
            return transaction.respond(to_message(row))
