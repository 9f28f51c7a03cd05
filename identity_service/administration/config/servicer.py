"""The part of AdminService that is about configuration."""

from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value

from chassis import audit, etags, paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from identity_service.administration.config import store
from identity_service.administration.config.config import Config
from identity_service.administration.config.rules import Key
from identity_service.administration.config.store import ConfigRow
from identity_service.errors import ConfigKeyUnknown
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.admin_service_pb2 import (
    ConfigEntry,
    ConfigType,
    GetConfigEntryRequest,
    ListConfigEntriesRequest,
    ListConfigEntriesResponse,
    SetConfigEntryRequest,
)

_TYPES = Spelling(ConfigType)
_UNSET = 0
"""The version of an entry that has its default."""


class ConfigServicer:
    """Shows and sets the configuration."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config

    async def GetConfigEntry(self, request: GetConfigEntryRequest, context: Context) -> ConfigEntry:
        key = self._key(request.key)
        return _entry(key, await store.get(self._database, key.name))

    async def ListConfigEntries(
        self, request: ListConfigEntriesRequest, context: Context
    ) -> ListConfigEntriesResponse:
        (after,) = paging.position(request, (0,))
        rows = await store.every(self._database)
        numbered = [*enumerate(self._config.keys.values(), start=1)][after:][: paging.size(request) + 1]
        shown, following = paging.page(request, numbered, lambda one: (one[0],))
        entries = [_entry(key, rows.get(key.name)) for _, key in shown]
        return ListConfigEntriesResponse(entries=entries, next_page_token=following)

    async def SetConfigEntry(self, request: SetConfigEntryRequest, context: Context) -> ConfigEntry:
        key = self._key(request.key)
        async with write(self._database) as transaction:
            await store.lock(transaction)
            row = await store.get(transaction, key.name)
            etags.check(request.etag, row.version if row else _UNSET)
            if request.HasField("value"):
                value = key.parsed(MessageToDict(request.value))
                row = await store.put(transaction, key.name, value, caller().user_id)
            else:
                await store.reset(transaction, key.name)
                row = None
            await audit.record(transaction, AuditAction.AUDIT_ACTION_CONFIG_SET, key=key.name)
            return transaction.answer(_entry(key, row))

    def _key(self, name: str) -> Key:
        if name not in self._config.keys:
            raise ConfigKeyUnknown(name)
        return self._config.keys[name]


def _entry(key: Key, row: ConfigRow | None) -> ConfigEntry:
    return ConfigEntry(
        key=key.name,
        value=_value(row.value if row else key.default),
        default_value=_value(key.default),
        type=_TYPES.number(key.type),
        description=key.description,
        update_time=timestamp(row.updated_at if row else None),
        update_user_id=(row.updated_by_user_id or "") if row else "",
        etag=etags.etag(row.version if row else _UNSET),
    )


def _value(value: Any) -> Value:
    return ParseDict(value, Value())
