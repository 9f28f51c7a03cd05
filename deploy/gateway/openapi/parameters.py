"""Request fields that are path or query parameters."""

from collections.abc import Collection, Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from chassis.access import ME
from deploy.gateway.openapi import rules
from deploy.gateway.openapi.schemas import Schemas
from deploy.gateway.openapi.wellknown import IN_A_QUERY, WELL_KNOWN, Schema


def in_path(
    request: Descriptor, names: Collection[str], owner_fields: Collection[str], schemas: Schemas
) -> list[Schema]:
    """Returns the parameters of a path template, under their names in the template."""
    parameters = []
    for name in names:
        parameter = _parameter(request.fields_by_name[name], name, "path", schemas) | {"required": True}
        if name in owner_fields:
            value = parameter["schema"]
            parameter["schema"] = {"anyOf": [value, {"type": "string", "const": ME}]}
            parameter["example"] = ME
        parameters.append(parameter)
    return parameters


def in_query(request: Descriptor, without: Collection[str], schemas: Schemas) -> list[Schema]:
    """Returns the remaining fields as query parameters. Nested fields have dotted names, as in Envoy."""
    return [
        _parameter(field, name, "query", schemas) | ({"required": True} if rules.is_required(field) else {})
        for name, field in _leaves(request, "", (request.full_name,))
        if name.partition(".")[0] not in {request.fields_by_name[excluded].json_name for excluded in without}
    ]


def _leaves(
    message: Descriptor, prefix: str, parents: tuple[str, ...]
) -> Iterator[tuple[str, FieldDescriptor]]:
    """Yields the fields that fit into a string. Repeated messages, maps and recursive messages do not."""
    for field in message.fields:
        name = f"{prefix}{field.json_name}"
        kind = field.message_type
        if kind is None or (kind.full_name in IN_A_QUERY and not field.is_repeated):
            yield name, field
        elif not (field.is_repeated or kind.full_name in WELL_KNOWN or kind.full_name in parents):
            yield from _leaves(kind, f"{name}.", (*parents, kind.full_name))


def _parameter(field: FieldDescriptor, name: str, location: str, schemas: Schemas) -> Schema:
    schema = schemas.field(field)
    description = schema.pop("description", "")
    return {"name": name, "in": location, "description": description, "schema": schema}
