"""What a call can be aimed at: the caller's own, another's, what is deleted, what has never been."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.access import requests
from tests.contracts.rpcs import Rpc

Place = Mapping[str, str]
"""An id for each field that names something, all of one owner and one class."""

OWN, OTHERS, DELETED, ABSENT, ARCHIVED = "own", "other's", "deleted", "non-existent", "archived"

_MEMBER = "member_id"
_CLASS, _USER = "class_id", "user_id"


@dataclass(frozen=True)
class Places:
    """Everything that one persona can be aimed at."""

    own: Place
    others: Place
    deleted: Place
    """A person and a class that are deleted, with what was theirs."""
    archived: Place
    own_deleted: Place
    """What was deleted of what is the persona's own, or in their own class."""
    others_deleted: Place

    def __getitem__(self, kind: str) -> Place:
        return {OWN: self.own, OTHERS: self.others, DELETED: self.deleted, ARCHIVED: self.archived}.get(
            kind, _Nowhere()
        )

    def gone(self, scope: str) -> Place:
        """What was deleted in a scope that is there."""
        return self.own_deleted if scope == OWN else self.others_deleted


class Target(NamedTuple):
    """What a call is aimed at: in whose scope, and at what in it."""

    scope: str
    resource: str = ""
    """Empty where it is the scope's own."""
    field: str = ""
    """Of several ids the one that is not the scope's own; empty for all of them."""

    @property
    def is_there(self) -> bool:
        """Whether all that is named exists, and belongs together."""
        return self.scope not in {DELETED, ABSENT} and not self.resource

    def __str__(self) -> str:
        if not self.resource:
            return self.scope
        return f"{self.resource} {self.field or 'resource'} in {self.scope}"


def scope_fields(rpc: Rpc) -> set[str]:
    """The request fields that say whose the rest is: by them access is decided."""
    return rpc.identity


def resource_fields(rpc: Rpc) -> list[str]:
    """The other request fields that name something which must be there."""
    return [
        field.name
        for field in requests.fields_of(requests.method(rpc.name).input_type)
        if field.name not in rpc.identity and requests.needed(field) and field.name in NAMES
    ]


def targets(rpc: Rpc) -> Iterator[Target]:
    """Yields everything that an RPC can be aimed at."""
    scoped, resources = bool(scope_fields(rpc)), resource_fields(rpc)
    yield from (Target(kind) for kind in (OWN, OTHERS, DELETED, ABSENT))
    if _CLASS in rpc.identity:
        yield Target(ARCHIVED)
    if not scoped:
        return
    for field in ("", *(resources if len(resources) > 1 else ())):
        for scope in (OWN, OTHERS) if resources else ():
            yield from (Target(scope, kind, field) for kind in (DELETED, ABSENT))
        if resources:
            yield Target(OWN, OTHERS, field)


def ids(rpc: Rpc, target: Target, places: Places) -> dict[str, str]:
    """The values of the fields that name something."""
    scope = places[target.scope]
    found = {name: scope[name] for name in scope_fields(rpc)}
    for field in resource_fields(rpc):
        named = _MEMBER if field == _USER and _CLASS in rpc.identity else field
        if not target.resource or target.field not in {"", field}:
            found[field] = scope[named]
        elif target.resource == DELETED:
            found[field] = places.gone(target.scope)[named]
        else:
            found[field] = places[target.resource][named]
    return found


class _Nowhere(dict[str, str]):
    """Ids that nothing has ever had."""

    def __missing__(self, name: str) -> str:
        return "never_set" if name == "key" else str(uuid.uuid5(uuid.NAMESPACE_URL, name))


NAMES = frozenset(
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
"""The fields that name something of the dataset."""
