"""The document as a whole."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from deploy.gateway.contracts import Rpc, routed_rpcs
from deploy.gateway.openapi.descriptors import Contracts
from deploy.gateway.openapi.operations import Operations, bindings, tag
from deploy.gateway.openapi.refusals import Refusals
from deploy.gateway.openapi.schemas import Schemas
from deploy.gateway.openapi.wellknown import STATUS_SCHEMAS, Schema

_TOKEN = "accessToken"  # noqa: S105 - a name
_CONTEXTS = ("identity", "content", "session", "chat", "access")
_DESCRIPTION = """\
The backend of a tutoring platform: people and classes, published content, study sessions, and a tutor that \
answers from the class's own material. Every operation is a gRPC method too, of the same name.

**Tokens.** Sign in, then send `authorization: Bearer …` with the access token (on a page that shows this \
document: give it to *Authorize*). It lives for five minutes; refresh it with the refresh token, also to gain \
the rights to a class that was just created or joined.

**Names.** JSON and query parameters are in camelCase; snake_case is read as well. 64-bit integers are strings. \
Answers hold every field, with its empty value where it is not set, but for messages and alternatives, which \
are left out.

**Repetition.** Whoever sends a `requestId` may send the same request again: it takes effect once.

**Pages.** Lists take `pageSize` and `pageToken`; the last page has an empty `nextPageToken`.

**Refusals.** Each carries one `ErrorInfo` whose `reason` says why. What is not to be seen and what does not \
exist look the same.

**Streams.** Server-sent events. A stream ends with a `done` or an `error` event; without either it was cut, \
and is taken up again after the last sequence."""


def document(descriptors: Path) -> dict[str, Any]:
    """The OpenAPI 3.1 document of every RPC that the gateway routes; the same for the same contracts."""
    contracts = Contracts(descriptors)
    schemas, refusals = Schemas(contracts), Refusals(contracts)
    schemas.components |= STATUS_SCHEMAS
    operations = Operations(contracts, schemas, refusals)
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
            "responses": refusals.components(),
            "securitySchemes": {_TOKEN: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _reading_order(rpc: Rpc) -> int:
    """Each context after those that it stands on; what only programs ask for comes last."""
    context = rpc.grpc_service.split(".")[1]
    return _CONTEXTS.index(context) if context in _CONTEXTS else len(_CONTEXTS)
