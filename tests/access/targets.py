"""The targets of a call: the caller's own resources, another user's, deleted ones, and ones that never existed."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.access import requests
from tests.contracts.rpcs import Rpc

Ids = Mapping[str, str]
"""An id for each id field. All ids belong to one owner and one class."""

OWN, OTHERS, DELETED, ABSENT, ARCHIVED = "own", "other's", "deleted", "non-existent", "archived"

_MEMBER = "member_id"
_CLASS, _USER = "class_id", "user_id"


@dataclass(frozen=True)
class TestIds:
    """The ids of all targets of one persona."""

    own: Ids
    others: Ids
    deleted: Ids
    """A deleted user and a deleted class, with their resources."""
    archived: Ids
    own_deleted: Ids
    """Deleted resources of the persona or of its class."""
    others_deleted: Ids

    def __getitem__(self, kind: str) -> Ids:
        return {OWN: self.own, OTHERS: self.others, DELETED: self.deleted, ARCHIVED: self.archived}.get(
            kind, _MissingIds()
        )

    def deleted_in(self, scope: str) -> Ids:
        """Returns the deleted resources of a user and class that exist."""
        return self.own_deleted if scope == OWN else self.others_deleted


class Target(NamedTuple):
    """The target of a call: a user or class, and a resource in it."""

    scope: str
    resource: str = ""
    """Empty if the resource belongs to the scope."""
    field: str = ""
    """The only id field that refers to `resource`; empty if every resource field does."""

    @property
    def exists(self) -> bool:
        """Whether all ids exist and belong together."""
        return self.scope not in {DELETED, ABSENT} and not self.resource

    def __str__(self) -> str:
        if not self.resource:
            return self.scope
        return f"{self.resource} {self.field or 'resource'} in {self.scope}"


def resource_fields(rpc: Rpc) -> list[str]:
    """Returns the id fields that must name an existing resource and do not decide access."""
    return [
        field.name
        for field in requests.fields_of(requests.find_method(rpc.name).input_type)
        if field.name not in rpc.identity and requests.is_required(field) and field.name in ID_FIELDS
    ]


def list_targets(rpc: Rpc) -> Iterator[Target]:
    """Yields every target of an RPC."""
    resources = resource_fields(rpc)
    yield from (Target(kind) for kind in (OWN, OTHERS, DELETED, ABSENT))
    if _CLASS in rpc.identity:
        yield Target(ARCHIVED)
    if not rpc.identity:
        return
    for field in ("", *(resources if len(resources) > 1 else ())):
        for scope in (OWN, OTHERS) if resources else ():
            yield from (Target(scope, kind, field) for kind in (DELETED, ABSENT))
        if resources:
            yield Target(OWN, OTHERS, field)


def resolve_ids(rpc: Rpc, target: Target, ids: TestIds) -> dict[str, str]:
    """Returns the values of the id fields that make a request refer to a target."""
    scope = ids[target.scope]
    values = {name: scope[name] for name in rpc.identity}
    for field in resource_fields(rpc):
        name = _MEMBER if field == _USER and _CLASS in rpc.identity else field
        if not target.resource or target.field not in {"", field}:
            values[field] = scope[name]
        elif target.resource == DELETED:
            values[field] = ids.deleted_in(target.scope)[name]
        else:
            values[field] = ids[target.resource][name]
    return values


class _MissingIds(dict[str, str]):
    """Ids that never existed."""

    def __missing__(self, name: str) -> str:
        return "never_set" if name == "key" else str(uuid.uuid5(uuid.NAMESPACE_URL, name))


ID_FIELDS = frozenset(
    {
        "user_id",
        "class_id",
        "session_id",
        "chat_id",
        "message_id",
        "content_id",
        "material_id",
        "revision_id",
        "chunk_id",
        "backend_id",
        "model_id",
        "key",
    }
)
"""The request fields whose values are ids of the dataset."""
