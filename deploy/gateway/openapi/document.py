"""The OpenAPI document."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from deploy.gateway.contracts import Rpc, routed_rpcs
from deploy.gateway.openapi.descriptors import Contracts
from deploy.gateway.openapi.errors import Errors
from deploy.gateway.openapi.operations import Operations, bindings, tag
from deploy.gateway.openapi.schemas import Schemas
from deploy.gateway.openapi.wellknown import STATUS_SCHEMAS, Schema

_TOKEN = "accessToken"  # noqa: S105 - a name
_FIRST_SERVICE = "meno.identity.v1.AuthService"
_CONTEXTS = ("identity", "content", "session", "chat", "access")
_DESCRIPTION = """\
The backend of a tutoring platform: users and classes, published content, study sessions, and a tutor that \
answers from the material of the class. Every operation is also a gRPC method with the same name.

**Tokens.** Sign in, then send `authorization: Bearer …` with the access token (on a page that shows this \
document: enter it under *Authorize*). It expires after five minutes. Refresh it with the refresh token, also \
after creating or joining a class, because the rights to the class are in the next token.

**Names.** JSON and query parameters are in camelCase; snake_case is also accepted. 64-bit integers are strings. \
Responses contain every field. A field that is not set has its empty value, except messages and alternatives, \
which are omitted.

**Retries.** A request with a `requestId` can be repeated. It takes effect only once.

**Pages.** Lists have `pageSize` and `pageToken`. The last page has an empty `nextPageToken`.

**Errors.** Every error has one `ErrorInfo` with a `reason`. The error is the same for a resource that does not \
exist and for one that the caller may not read.

**Streams.** Streams are server-sent events. A stream ends with a `done` or an `error` event. A stream without \
either was interrupted; resume it after the last sequence."""


def document(descriptors: Path) -> dict[str, Any]:
    """Returns the OpenAPI 3.1 document of every RPC that the gateway routes. It is deterministic."""
    contracts = Contracts(descriptors)
    schemas, errors = Schemas(contracts), Errors(contracts)
    schemas.components |= STATUS_SCHEMAS
    operations = Operations(contracts, schemas, errors)
    paths: dict[str, Schema] = {}
    tags: dict[str, Schema] = {}
    for rpc in sorted(routed_rpcs(descriptors), key=_reading_order):
        method = contracts.method(rpc)
        tags[tag(rpc)] = {"name": tag(rpc), "description": contracts.comment(rpc.grpc_service)}
        for binding in bindings(method):
            operation = operations.operation(rpc, method, binding)
            paths.setdefault(binding.path, {})[binding.verb] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Meno API", "version": version("meno-protos"), "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{_TOKEN: []}],
        "tags": list(tags.values()),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": errors.components(),
            "securitySchemes": {_TOKEN: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _reading_order(rpc: Rpc) -> tuple[bool, int]:
    """Returns the position of a service: first the sign-in, then each context after those that it depends on."""
    context = rpc.grpc_service.split(".")[1]
    position = _CONTEXTS.index(context) if context in _CONTEXTS else len(_CONTEXTS)
    return rpc.grpc_service != _FIRST_SERVICE, position
