"""The messages that have a JSON form of their own."""

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

# Spelled out, for the contracts name the first alone and never the second.
STATUS_SCHEMAS: Final[dict[str, Schema]] = {
    STATUS: {
        "title": "Status",
        "description": "Why a call was refused.",
        "type": "object",
        "properties": {
            "code": {"type": "integer", "format": "int32", "description": "The gRPC status code."},
            "message": {"type": "string", "description": "A sentence for a person."},
            "details": {
                "type": "array",
                "description": "One ErrorInfo for programs, then whatever else helps: BadRequest lists the"
                " fields that break a rule, RetryInfo says when to try again.",
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
        "description": "The reason, for programs.",
        "type": "object",
        "properties": {
            "@type": {"type": "string", "const": f"type.googleapis.com/{ERROR_INFO}"},
            "domain": {"type": "string", "const": "meno"},
            "reason": {"type": "string", "examples": ["ACCESS_DENIED"]},
            "metadata": {
                "type": "object",
                "description": "What each reason says it carries.",
                "additionalProperties": {"type": "string"},
            },
        },
        "required": ["@type", "domain", "reason"],
    },
    "google.protobuf.Any": {
        "title": "Any",
        "description": "A message of the type that `@type` names.",
        **WELL_KNOWN["google.protobuf.Any"],
    },
}

# What a query parameter can say in one string, as Envoy reads it.
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
