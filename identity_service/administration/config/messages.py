"""Maps configuration entries to the messages of the contract."""

from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from chassis import etags
from chassis.conversions import EnumCodec, to_timestamp
from identity_service.administration.config import rules
from identity_service.administration.config.rules import ConfigKey
from identity_service.administration.config.types import ConfigRow
from meno.identity.v1.resources_pb2 import ConfigEntry, ConfigType

TYPES = EnumCodec(ConfigType)


def to_message(key: ConfigKey, row: ConfigRow | None) -> ConfigEntry:
    """Returns the entry of a key; without a row, the entry has its default value."""
    return ConfigEntry(
        key=key.name,
        value=_to_value(row.value if row else key.default),
        default_value=_to_value(key.default),
        type=TYPES.value(key.type),
        description=key.description,
        update_time=to_timestamp(row.updated_at if row else None),
        update_user_id=(row.updated_by_user_id or "") if row else "",
        etag=etags.etag(row.version if row else rules.UNSET_VERSION),
    )


def _to_value(value: Any) -> Value:
    return ParseDict(value, Value())
