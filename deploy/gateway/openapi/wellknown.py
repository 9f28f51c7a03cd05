"""Schemas of well-known messages, which have a special JSON form."""

from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]

HTTP_BODY: Final = "google.api.HttpBody"
STATUS: Final = "google.rpc.Status"
ERROR_INFO: Final = "google.rpc.ErrorInfo"

INT64: Final[Schema] = {"type": "string", "format": "int64", "examples": ["0"]}
UINT64: Final[Schema] = {"type": "string", "format": "uint64", "examples": ["0"]}

WELL_KNOWN: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$",
        "examples": ["1.5s"],
    },
    "google.protobuf.FieldMask": {"type": "string", "examples": ["displayName,fullName"]},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Value": {},
    "google.protobuf.Empty": {"type": "object", "maxProperties": 0},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
        "additionalProperties": True,
    },
    "google.protobuf.DoubleValue": {"type": ["number", "null"], "format": "double"},
    "google.protobuf.FloatValue": {"type": ["number", "null"], "format": "float"},
    "google.protobuf.Int64Value": {"type": ["string", "null"], "format": "int64"},
    "google.protobuf.UInt64Value": {"type": ["string", "null"], "format": "uint64"},
    "google.protobuf.Int32Value": {"type": ["integer", "null"], "format": "int32"},
    "google.protobuf.UInt32Value": {"type": ["integer", "null"], "format": "uint32"},
    "google.protobuf.BoolValue": {"type": ["boolean", "null"]},
    "google.protobuf.StringValue": {"type": ["string", "null"]},
    "google.protobuf.BytesValue": {"type": ["string", "null"], "contentEncoding": "base64"},
    HTTP_BODY: {"type": "string", "format": "binary"},
}

# Written by hand, because the contracts refer only to Status, not to its details.
STATUS_SCHEMAS: Final[dict[str, Schema]] = {
    STATUS: {
        "title": "Status",
        "description": "The error of a call.",
        "type": "object",
        "properties": {
            "code": {"type": "integer", "format": "int32", "description": "The gRPC status code."},
            "message": {"type": "string", "description": "The message for a user."},
            "details": {
                "type": "array",
                "description": "One ErrorInfo, then further details: BadRequest lists the invalid fields,"
                " RetryInfo has the delay before a retry.",
                "items": {
                    "anyOf": [
                        {"$ref": f"#/components/schemas/{ERROR_INFO}"},
                        {"$ref": "#/components/schemas/google.protobuf.Any"},
                    ]
                },
            },
        },
        "required": ["code", "message"],
    },
    ERROR_INFO: {
        "title": "ErrorInfo",
        "description": "The machine-readable reason.",
        "type": "object",
        "properties": {
            "@type": {"type": "string", "const": f"type.googleapis.com/{ERROR_INFO}"},
            "domain": {"type": "string", "const": "meno"},
            "reason": {"type": "string", "examples": ["ACCESS_DENIED"]},
            "metadata": {
                "type": "object",
                "description": "The values that the description of the reason lists.",
                "additionalProperties": {"type": "string"},
            },
        },
        "required": ["@type", "domain", "reason"],
    },
    "google.protobuf.Any": {
        "title": "Any",
        "description": "A message of the type in `@type`.",
        **WELL_KNOWN["google.protobuf.Any"],
    },
}

# The messages that Envoy accepts as a query parameter.
IN_A_QUERY: Final = frozenset(
    {
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "google.protobuf.FieldMask",
        "google.protobuf.DoubleValue",
        "google.protobuf.FloatValue",
        "google.protobuf.Int64Value",
        "google.protobuf.UInt64Value",
        "google.protobuf.Int32Value",
        "google.protobuf.UInt32Value",
        "google.protobuf.BoolValue",
        "google.protobuf.StringValue",
        "google.protobuf.BytesValue",
    }
)
