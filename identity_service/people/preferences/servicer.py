"""The part of UserService that is about how people want it."""

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from chassis import etags
from chassis.calls import Context
from chassis.database import Database
from chassis.idempotency import write
from chassis.wire import timestamp
from identity_service.errors import UserNotFound
from identity_service.people.preferences import changing, rules, store
from identity_service.people.preferences.store import SettingsRow
from meno.identity.v1.user_service_pb2 import GetSettingsRequest, UpdateSettingsRequest, UserSettings

_DEFAULT = 0
"""The version of settings that nobody has changed."""


class PreferenceServicer:
    """Shows and changes settings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetSettings(self, request: GetSettingsRequest, context: Context) -> UserSettings:
        row = await store.get(self._database, request.user_id)
        if row is None:
            raise UserNotFound(request.user_id)
        return _message(row)

    async def UpdateSettings(self, request: UpdateSettingsRequest, context: Context) -> UserSettings:
        async with write(self._database) as transaction:
            row = await store.locked(transaction, request.user_id)
            if row is None:
                raise UserNotFound(request.user_id)
            etags.check(request.etag, row.version or _DEFAULT)
            wished = rules.changed(changing.chosen(row), request.settings, request.update_mask.paths)
            return transaction.answer(_message(await changing.change(transaction, row, wished)))


def _message(row: SettingsRow) -> UserSettings:
    settings = changing.chosen(row)
    return UserSettings(
        user_id=row.user_id,
        app_theme=rules.THEMES.number(settings.app_theme),
        prefers_assistive_learning=settings.prefers_assistive_learning,
        notifications=ParseDict(settings.notifications, Struct()),
        time_zone=settings.time_zone,
        keep_practice_history=settings.keep_practice_history,
        update_time=timestamp(row.updated_at),
        etag=etags.etag(row.version or _DEFAULT),
    )
