"""Forms of contracts that ours may take one day, as Envoy was seen to transcode them."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from grpc_tools import protoc
from openapi_spec_validator import OpenAPIV31SpecValidator

from deploy.gateway.contracts import descriptors
from deploy.gateway.openapi.document import document

ERRORS = """
syntax = "proto3";
package meno.trial.v1;
enum ErrorReason { ERROR_REASON_UNSPECIFIED = 0; }
"""
CONTRACT = """
syntax = "proto3";
package meno.trial.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "meno/access/v1/access.proto";
import "meno/access/v1/errors.proto";
import "meno/trial/v1/errors.proto";

service TrialService {
  // Looks. Then says what is there.
  rpc Look(LookRequest) returns (LookRequest) {
    option (google.api.http) = {
      get: "/v1/things/{thing_id}"
      additional_bindings { post: "/v1/things/{thing_id}:look" body: "inner" }
    };
    option (meno.access.v1.allow) = { signed_in: true guest: true };
    option (meno.access.v1.allow) = { service: "chat_service" };
  }
  // Sends many.
  rpc Send(stream LookRequest) returns (LookRequest) {
    option (google.api.http) = { post: "/v1/things:send" body: "*" };
    option (meno.access.v1.allow) = { role: GLOBAL_ROLE_ADMIN };
  }
  // Cannot be said.
  rpc Wild(LookRequest) returns (LookRequest) {
    option (google.api.http) = { %s };
    option (meno.access.v1.allow) = { signed_in: true };
  }
}

message Inner {
  string some_text = 1 [(buf.validate.field).string = { len: 3 }];
  repeated int64 numbers = 2 [(buf.validate.field).repeated = { unique: true items: { int64: { gt: 0 } } }];
  Inner inner = 3;
}

message LookRequest {
  string thing_id = 1;
  Inner inner = 2;
  google.protobuf.Timestamp from_time = 3;
  google.protobuf.Int64Value at_most = 4;
  map<string, int32> counts = 5 [(buf.validate.field).map = {
    max_pairs: 4 keys: { string: { max_len: 9 } } values: { int32: { lt: 7 } }
  }];
  repeated Inner many = 6;
  google.protobuf.Struct anything = 7;
  bytes raw = 8;
  double share = 9 [(buf.validate.field).double = { gte: 0, lte: 1 }];
  // Either.
  oneof choice {
    string left = 10;
    string right = 11;
  }
  google.protobuf.Duration pause = 12;
}
"""


def compiled(directory: Path, wild: str = 'get: "/v1/wild"') -> Path:
    """A descriptor set of our contracts and of the trial one."""
    folder = directory / "meno/trial/v1"
    folder.mkdir(parents=True)
    (folder / "errors.proto").write_text(ERRORS)
    (folder / "trial_service.proto").write_text(CONTRACT % wild)
    output = directory / "descriptors.binpb"
    arguments = [
        f"-I{directory}",
        f"-I{Path(annotations_pb2.__file__).parents[2]}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"--descriptor_set_in={descriptors()}",
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={output}",
        "meno/trial/v1/trial_service.proto",
    ]
    assert protoc.main(["protoc", *arguments]) == 0
    return output


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return document(compiled(tmp_path_factory.mktemp("trial")))


@pytest.fixture(scope="module")
def request_schema(openapi: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = openapi["components"]["schemas"]["meno.trial.v1.LookRequest"]["properties"]
    return schema


def names(operation: dict[str, Any], place: str) -> list[str]:
    return [one["name"] for one in operation["parameters"] if one["in"] == place]


def test_the_document_is_valid(openapi: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(openapi).validate()


def test_the_first_sentence_is_the_summary(openapi: dict[str, Any]) -> None:
    operation = openapi["paths"]["/v1/things/{thing_id}"]["get"]
    assert operation["summary"] == "Looks"
    assert operation["description"].startswith("Then says what is there.\n\n")


def test_nested_messages_are_flattened_into_the_query(openapi: dict[str, Any]) -> None:
    operation = openapi["paths"]["/v1/things/{thing_id}"]["get"]
    assert names(operation, "path") == ["thing_id"]
    # Maps, repeated messages, structs and what recurs do not fit into a query.
    assert names(operation, "query") == [
        "inner.someText",
        "inner.numbers",
        "fromTime",
        "atMost",
        "raw",
        "share",
        "left",
        "right",
        "pause",
    ]


def test_an_additional_binding_is_an_operation_of_its_own(openapi: dict[str, Any]) -> None:
    operation = openapi["paths"]["/v1/things/{thing_id}:look"]["post"]
    assert operation["operationId"] == "trial.v1.TrialService.Look.2"
    assert "inner.someText" not in names(operation, "query")
    assert "share" in names(operation, "query")
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"] == "#/components/schemas/meno.trial.v1.Inner"


def test_a_client_stream_is_an_array(openapi: dict[str, Any]) -> None:
    body = openapi["paths"]["/v1/things:send"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert (schema["type"], schema["items"]["title"]) == ("array", "LookRequest")


def test_a_service_among_the_callers_is_not_told(openapi: dict[str, Any]) -> None:
    operation = openapi["paths"]["/v1/things/{thing_id}"]["get"]
    assert operation["x-meno-access"] == [{"signed_in": True, "guest": True}]
    assert operation["description"].endswith("**Callers:** any signed-in user, including guests.")


def test_messages_with_a_json_form_of_their_own_have_it(request_schema: dict[str, Any]) -> None:
    assert request_schema["fromTime"] == {"type": "string", "format": "date-time"}
    assert request_schema["atMost"] == {"type": ["string", "null"], "format": "int64"}
    assert request_schema["anything"] == {"type": "object", "additionalProperties": True}
    assert request_schema["raw"] == {"type": "string", "contentEncoding": "base64"}
    assert request_schema["pause"]["type"] == "string"


def test_rules_of_maps_items_and_numbers(openapi: dict[str, Any], request_schema: dict[str, Any]) -> None:
    assert request_schema["counts"] == {
        "type": "object",
        "propertyNames": {"maxLength": 9},
        "additionalProperties": {"type": "integer", "format": "int32", "exclusiveMaximum": 7},
        "maxProperties": 4,
    }
    assert (request_schema["share"]["minimum"], request_schema["share"]["maximum"]) == (0, 1)
    inner = openapi["components"]["schemas"]["meno.trial.v1.Inner"]["properties"]
    assert (inner["someText"]["minLength"], inner["someText"]["maxLength"]) == (3, 3)
    assert inner["numbers"]["uniqueItems"] is True
    assert inner["numbers"]["items"]["pattern"] == "^[0-9]+$"


def test_alternatives_are_told(openapi: dict[str, Any]) -> None:
    description = openapi["components"]["schemas"]["meno.trial.v1.LookRequest"]["description"]
    assert description == "At most one of `left`, `right`. Either."


@pytest.mark.parametrize(
    "rule",
    [
        'get: "/v1/{thing_id=wild/*}"',
        'get: "/v1/{inner.some_text}"',
        'post: "/v1/wild" body: "*" response_body: "inner"',
        'custom: { kind: "HEAD" path: "/v1/wild" }',
    ],
)
def test_a_rule_that_cannot_be_documented_is_refused(tmp_path: Path, rule: str) -> None:
    with pytest.raises(ValueError, match=r"meno\.trial\.v1\.TrialService\.Wild"):
        document(compiled(tmp_path, rule))
