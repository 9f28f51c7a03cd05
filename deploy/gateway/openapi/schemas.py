"""JSON Schemas of messages and enumerations in the JSON format of the gateway."""

from collections.abc import Collection, Iterable

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from deploy.gateway.openapi import rules
from deploy.gateway.openapi.descriptors import Contracts
from deploy.gateway.openapi.wellknown import INT64, STATUS, STATUS_SCHEMAS, UINT64, WELL_KNOWN, Schema

_INT32: Schema = {"type": "integer", "format": "int32"}
_UINT32: Schema = {"type": "integer", "format": "uint32", "minimum": 0}
_SCALARS: dict[int, Schema] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_SINT32: _INT32,
    FieldDescriptor.TYPE_SFIXED32: _INT32,
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_FIXED32: _UINT32,
    FieldDescriptor.TYPE_INT64: INT64,
    FieldDescriptor.TYPE_SINT64: INT64,
    FieldDescriptor.TYPE_SFIXED64: INT64,
    FieldDescriptor.TYPE_UINT64: UINT64,
    FieldDescriptor.TYPE_FIXED64: UINT64,
}


class Schemas:
    """Builds the schemas that operations refer to, and collects them as components."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self.components: dict[str, Schema] = {}

    def message(self, descriptor: Descriptor) -> Schema:
        """Returns a reference to a message, or the schema of a well-known type."""
        name = descriptor.full_name
        if name in WELL_KNOWN:
            return dict(WELL_KNOWN[name])
        if name == STATUS:
            self.components |= STATUS_SCHEMAS
        elif name not in self.components:
            # Registered before its fields, because messages can be recursive.
            self.components[name] = {}
            self.components[name] = self.body(descriptor)
        return _reference(name)

    def body(self, descriptor: Descriptor, without: Collection[str] = ()) -> Schema:
        """Returns the schema of a message without the fields that are path or query parameters."""
        fields = [field for field in descriptor.fields if field.name not in without]
        schema: Schema = {
            "title": _title(descriptor),
            "description": self._description(
                descriptor.full_name, [*rules.describe(descriptor), *self._choices(fields)]
            ),
            "type": "object",
            "properties": {_json_name(field): self.field(field) for field in fields},
            "required": [_json_name(field) for field in fields if rules.is_required(field)],
        }
        return {name: value for name, value in schema.items() if value}

    def field(self, field: FieldDescriptor) -> Schema:
        """Returns the schema of a field with its comment and its rules."""
        constraints = rules.rules_of(field)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name
            schema = {
                "type": "object",
                "propertyNames": rules.keywords(constraints.map.keys),
                "additionalProperties": self._value(entry["value"])
                | rules.keywords(constraints.map.values, entry["value"].enum_type),
            } | rules.keywords(constraints)
        elif field.is_repeated:
            items = self._value(field) | rules.keywords(constraints.repeated.items, field.enum_type)
            schema = {"type": "array", "items": items} | rules.keywords(constraints)
        else:
            schema = self._value(field) | rules.keywords(constraints, field.enum_type)
        if rules.is_optional(field) and _is_opaque(schema):
            schema["examples"] = [""]
        description = self._description(field.full_name, rules.describe(field))
        return schema | rules.direction(field) | ({"description": description} if description else {})

    def _value(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return dict(_SCALARS[field.type])

    def _enum(self, descriptor: EnumDescriptor) -> Schema:
        name = descriptor.full_name
        if name not in self.components:
            values = [
                f"- `{value.name}`: {self._contracts.comment(f'{name}.{value.name}')}"
                for value in descriptor.values
            ]
            self.components[name] = {
                "title": _title(descriptor),
                "description": self._description(name, ["\n".join(values)]),
                "type": "string",
                "enum": [value.name for value in descriptor.values],
            }
        return _reference(name)

    def _choices(self, fields: Iterable[FieldDescriptor]) -> list[str]:
        """Returns a paragraph for each oneof."""
        groups: dict[str, list[str]] = {}
        for field in fields:
            oneof = field.containing_oneof
            if oneof is not None and len(oneof.fields) > 1:
                groups.setdefault(oneof.full_name, []).append(f"`{_json_name(field)}`")
        return [
            f"At most one of {', '.join(names)}. {self._contracts.comment(name)}".strip()
            for name, names in groups.items()
        ]

    def _description(self, full_name: str, more: list[str]) -> str:
        return "\n\n".join(filter(None, [self._contracts.comment(full_name), *more]))


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _title(descriptor: Descriptor | EnumDescriptor) -> str:
    return descriptor.full_name.removeprefix(f"{descriptor.file.package}.")


def _json_name(field: FieldDescriptor) -> str:
    name: str = field.json_name
    return name


def _is_opaque(schema: Schema) -> bool:
    """Returns whether only the service can produce valid values, such as etags and ids."""
    return schema.get("type") == "string" and (
        schema.get("format") == "uuid" or not {"minLength", "pattern", "format"} & schema.keys()
    )
