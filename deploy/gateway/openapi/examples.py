"""Example bodies that the API accepts: the required fields, with plausible values."""

from collections.abc import Mapping
from typing import Any

from deploy.gateway.openapi.wellknown import Schema

_UUID = "018f0000-0000-7000-8000-000000000001"
_PASSWORD = "twelve moons over the bay"  # noqa: S105 - an example
_ADDRESS = "ada@example.org"
_FORMATS = {"uuid": _UUID, "int64": "0", "date-time": "2026-01-01T00:00:00Z", "email": _ADDRESS}
_WORD = "string"

_EXPLICIT: Mapping[str, Schema] = {
    "SignUp": {
        "loginName": "ada",
        "displayName": "Ada",
        "password": _PASSWORD,
        "role": "GLOBAL_ROLE_TEACHER",
    },
    "SignIn": {"identifier": "ada", "password": _PASSWORD},
    "LinkCredentials": {"loginName": "ada", "password": _PASSWORD},
    "RequestOneTimeCode": {"address": _ADDRESS},
    "RedeemOneTimeCode": {"address": _ADDRESS, "code": "123456"},
    "CreateUser": {"email": _ADDRESS, "displayName": "Ada", "role": "GLOBAL_ROLE_STUDENT"},
    "CreateClass": {"title": "Physics of the sea"},
    "CreateContent": {"title": "Tides", "body": {"lesson": {"text": "The Moon pulls the sea."}}},
    "CreateSession": {"mode": "SESSION_MODE_TEACH_ME", "goal": {"text": "Understand the tides"}},
    "CreateChat": {"source": "SOURCE_MODE_GENERAL"},
    "Ask": {"text": "Why are there two tides a day?"},
}
"""The bodies of RPCs whose rules depend on several fields, and of the first calls."""


def example(rpc: str, schema: Schema, components: Mapping[str, Schema]) -> Any:
    """Returns the example body of an RPC."""
    return _EXPLICIT.get(rpc) or _sample(schema, components)


def _sample(schema: Schema, components: Mapping[str, Schema]) -> Any:
    referred = components.get(schema.get("$ref", "").rpartition("/")[2], {})
    merged = {**referred, **schema}
    constant = [merged["const"]] if "const" in merged else []
    if choices := merged.get("examples") or merged.get("enum") or constant:
        return next(value for value in choices if not str(value).endswith("_UNSPECIFIED"))
    match merged.get("type"):
        case "object":
            properties = merged.get("properties", {})
            settable = (name for name in merged.get("required", ()) if not properties[name].get("readOnly"))
            return {name: _sample(properties[name], components) for name in settable}
        case "array":
            return [_sample(merged["items"], components) for _ in range(merged.get("minItems", 1))]
        case "integer" | "number":
            return merged.get("minimum", 0)
        case "boolean":
            return True
    return _FORMATS.get(merged.get("format", "")) or _WORD.ljust(merged.get("minLength", 0), "x")
