"""The RPCs of AdminService for the configuration."""

from google.protobuf.json_format import MessageToDict

from chassis import paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service import reauthentication
from identity_service.administration.config import commands, store
from identity_service.administration.config.messages import to_message
from identity_service.administration.config.reader import ConfigReader
from identity_service.administration.config.rules import ConfigKey
from identity_service.errors import ConfigKeyNotFound
from meno.identity.v1.admin_service_pb2 import (
    GetConfigEntryRequest,
    ListConfigEntriesRequest,
    ListConfigEntriesResponse,
    SetConfigEntryRequest,
)
from meno.identity.v1.resources_pb2 import ConfigEntry


class ConfigServicer:
    """Serves the configuration."""

    def __init__(self, database: Database, config: ConfigReader) -> None:
        self._database = database
        self._config = config

    async def GetConfigEntry(self, request: GetConfigEntryRequest, context: Context) -> ConfigEntry:
        key = self._key(request.key)
        return to_message(key, await store.get(self._database, key.name))

    async def ListConfigEntries(
        self, request: ListConfigEntriesRequest, context: Context
    ) -> ListConfigEntriesResponse:
        # Keys exist only in code, so the position in their list is the page key.
        (after,) = paging.decode_page_token(request, (0,))
        rows = await store.list_all(self._database)
        numbered = [*enumerate(self._config.keys.values(), start=1)][after:][: paging.size(request) + 1]
        page, next_page_token = paging.page(request, numbered, lambda item: (item[0],))
        entries = [to_message(key, rows.get(key.name)) for _, key in page]
        return ListConfigEntriesResponse(entries=entries, next_page_token=next_page_token)

    async def SetConfigEntry(self, request: SetConfigEntryRequest, context: Context) -> ConfigEntry:
        key = self._key(request.key)
        async with write(self._database) as transaction:
            await reauthentication.check(transaction, caller())
            if request.HasField("value"):
                value = MessageToDict(request.value)
                row = await commands.set_value(transaction, key, request.etag, value, caller().user_id)
                return transaction.respond(to_message(key, row))
            await commands.reset_value(transaction, key, request.etag)
            return transaction.respond(to_message(key, None))

    def _key(self, name: str) -> ConfigKey:
        if name not in self._config.keys:
            raise ConfigKeyNotFound(name)
        return self._config.keys[name]
