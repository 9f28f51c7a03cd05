"""The fields of a request that travel in the path or in the query."""

from collections.abc import Collection, Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from chassis.access import ME
from deploy.gateway.openapi import rules
from deploy.gateway.openapi.schemas import Schemas
from deploy.gateway.openapi.wellknown import IN_A_QUERY, WELL_KNOWN, Schema


def in_path(
    request: Descriptor, names: Collection[str], subjects: Collection[str], schemas: Schemas
) -> list[Schema]:
    """The fields that a path template names, called as it calls them."""
    parameters = []
    for name in names:
        parameter = _parameter(request.fields_by_name[name], name, "path", schemas) | {"required": True}
        if name in subjects:
            value = parameter["schema"]
            parameter["schema"] = {"anyOf": [value, {"type": "string", "const": ME}]}
            parameter["example"] = ME
        parameters.append(parameter)
    return parameters


def in_query(request: Descriptor, without: Collection[str], schemas: Schemas) -> list[Schema]:
    """All other fields, those of nested messages by their path, as Envoy reads them."""
    return [
        _parameter(field, name, "query", schemas) | ({"required": True} if rules.is_required(field) else {})
        for name, field in _leaves(request, "", (request.full_name,))
        if name.partition(".")[0] not in {request.fields_by_name[given].json_name for given in without}
    ]


def _leaves(
    message: Descriptor, prefix: str, above: tuple[str, ...]
) -> Iterator[tuple[str, FieldDescriptor]]:
    """Yields what fits into a string; repeated messages and maps do not, and a message within itself never ends."""
    for field in message.fields:
        name = f"{prefix}{field.json_name}"
        kind = field.message_type
        if kind is None or (kind.full_name in IN_A_QUERY and not field.is_repeated):
            yield name, field
        elif not (field.is_repeated or kind.full_name in WELL_KNOWN or kind.full_name in above):
            yield from _leaves(kind, f"{name}.", (*above, kind.full_name))


def _parameter(field: FieldDescriptor, name: str, place: str, schemas: Schemas) -> Schema:
    schema = schemas.field(field)
    description = schema.pop("description", "")
    return {"name": name, "in": place, "description": description, "schema": schema}
