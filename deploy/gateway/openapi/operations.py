"""RPCs as HTTP operations, as Envoy transcodes them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor

from chassis.contracts import DEFAULT_MAX_REQUEST_BYTES
from deploy.gateway.contracts import Rpc
from deploy.gateway.openapi import access_rules, examples, parameters
from deploy.gateway.openapi.descriptors import Contracts, summary_and_rest
from deploy.gateway.openapi.errors import Errors
from deploy.gateway.openapi.schemas import Schemas
from deploy.gateway.openapi.wellknown import HTTP_BODY, Schema

_VERBS = ("get", "put", "post", "delete", "patch")
_VARIABLE = re.compile(r"\{([^}]+)\}")
_EVERYTHING = "*"
_JSON = "application/json"
_EVENTS = "text/event-stream"
_BYTES = "application/octet-stream"
_FILE = "The unchanged file, with its media type or application/octet-stream."


@dataclass(frozen=True)
class Binding:
    """An HTTP rule of an RPC."""

    verb: str
    path: str
    body: str
    """The field that is the body; `*` for all fields that are not in the path; empty without a body."""
    ordinal: int
    """1 for the main binding; additional bindings count from 2."""

    @property
    def variables(self) -> list[str]:
        """Returns the request fields in the path."""
        return _VARIABLE.findall(self.path)


def tag(rpc: Rpc) -> str:
    """Returns the tag of the operations of a service."""
    return rpc.grpc_service.removeprefix("meno.")


def bindings(method: MethodDescriptor) -> Iterator[Binding]:
    """Yields every binding of an RPC. Raises ValueError if OpenAPI or Envoy cannot express one."""
    rule: Any = method.GetOptions().Extensions[annotations_pb2.http]
    for ordinal, http in enumerate([rule, *rule.additional_bindings], start=1):
        verb = http.WhichOneof("pattern")
        if verb is None:
            continue
        path = getattr(http, verb) if verb in _VERBS else ""
        binding = Binding(verb, path, http.body, ordinal)
        plain = all(name in method.input_type.fields_by_name for name in binding.variables)
        if not path or not plain or http.response_body:
            raise ValueError(f"{method.full_name} has an HTTP rule that cannot be documented")
        yield binding


class Operations:
    """Builds operations, and collects the schemas that they refer to."""

    def __init__(self, contracts: Contracts, schemas: Schemas, errors: Errors) -> None:
        self._contracts = contracts
        self._schemas = schemas
        self._errors = errors

    def operation(self, rpc: Rpc, method: MethodDescriptor, binding: Binding) -> Schema:
        """Returns the operation of a binding."""
        summary, rest = summary_and_rest(self._contracts.comment(method.full_name))
        operation_id = rpc.selector.removeprefix("meno.")
        operation = {
            "operationId": operation_id if binding.ordinal == 1 else f"{operation_id}.{binding.ordinal}",
            "tags": [tag(rpc)],
            "summary": summary,
            "description": "\n\n".join(
                filter(None, [rest, _limit(rpc), _size(rpc), access_rules.describe(rpc)])
            ),
            "parameters": self._parameters(rpc, method, binding),
            "requestBody": self._body(method, binding),
            "responses": {"200": self._response(method), **self._errors.responses(method)},
            access_rules.EXTENSION: access_rules.to_json(rpc),
        }
        present = {name: value for name, value in operation.items() if value}
        return present | ({"security": []} if rpc.public else {})

    def _parameters(self, rpc: Rpc, method: MethodDescriptor, binding: Binding) -> list[Schema]:
        owner_fields = {grant.owner for grant in rpc.grants}
        path_parameters = parameters.in_path(
            method.input_type, binding.variables, owner_fields, self._schemas
        )
        if binding.body == _EVERYTHING:
            return path_parameters
        not_in_query = {*binding.variables, *filter(None, [binding.body])}
        return path_parameters + parameters.in_query(method.input_type, not_in_query, self._schemas)

    def _body(self, method: MethodDescriptor, binding: Binding) -> Schema | None:
        if not binding.body:
            return None
        if binding.body == _EVERYTHING:
            schema = self._schemas.body(method.input_type, binding.variables)
            if not schema.get("properties"):
                return None
            required = "required" in schema
        else:
            field = method.input_type.fields_by_name[binding.body]
            schema, required = self._schemas.field(field), True
            if field.message_type is not None and field.message_type.full_name == HTTP_BODY:
                schema.pop("description", None)
                return {"description": _FILE, "required": True, "content": {_BYTES: {"schema": schema}}}
        if method.client_streaming:
            schema = {"type": "array", "items": schema}
        example = examples.example(method.name, schema, self._schemas.components)
        return {"required": required, "content": {_JSON: {"schema": schema, "example": example}}}

    def _response(self, method: MethodDescriptor) -> Schema:
        reply = method.output_type
        description = (
            self._contracts.comment(reply.full_name) if reply.file.package.startswith("meno") else ""
        )
        schema = self._schemas.message(reply)
        if reply.full_name == HTTP_BODY:
            return {
                "description": "The file, with its media type.",
                "content": {"*/*": {"schema": schema}},
            }
        if method.server_streaming:
            return {"description": _stream(reply.name, description), "content": {_EVENTS: {"schema": schema}}}
        return {"description": description or "An empty response.", "content": {_JSON: {"schema": schema}}}


def _stream(message: str, comment: str) -> str:
    return (
        f"{comment} A stream of server-sent events: the `data` of each event is one {message} as JSON, with"
        " this schema. An error before the first event is an ordinary response with its status."
    ).strip()


def _size(rpc: Rpc) -> str:
    """Returns the size limit of an RPC that has another one than most."""
    if rpc.client_streaming or rpc.max_request_bytes == DEFAULT_MAX_REQUEST_BYTES:
        return ""
    return f"**Size limit:** {rpc.max_request_bytes // 1024} KiB."


def _limit(rpc: Rpc) -> str:
    limits = [
        f"{calls} calls a minute for each {key}"
        for calls, key in (
            (rpc.limit.per_user_per_minute, "user"),
            (rpc.limit.per_address_per_minute, "address"),
        )
        if calls
    ]
    return f"**Rate limit:** {', '.join(limits)}." if limits else ""
