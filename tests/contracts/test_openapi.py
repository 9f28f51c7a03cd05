"""The OpenAPI document describes exactly the contracts."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import protovalidate
import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from openapi_spec_validator import OpenAPIV31SpecValidator

from deploy.gateway.contracts import descriptors, routed_rpcs
from deploy.gateway.openapi.descriptors import Contracts
from deploy.gateway.openapi.document import document
from deploy.gateway.openapi.operations import bindings

RPCS = routed_rpcs(descriptors())
DIGEST = """
import hashlib, json
from deploy.gateway.openapi.document import document
from deploy.gateway.contracts import descriptors
print(hashlib.sha256(json.dumps(document(descriptors())).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return document(descriptors())


@pytest.fixture(scope="module")
def operations(openapi: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Operation id to operation."""
    return {operation["operationId"]: operation for _, _, operation in every_operation(openapi)}


def every_operation(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, verbs in openapi["paths"].items():
        for verb, operation in verbs.items():
            yield verb, path, operation


def every_reference(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from every_reference(child)


def body_of(operation: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]
    return schema


def parameters_of(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in operation["parameters"]}


def test_the_document_is_valid_openapi_3_1(openapi: dict[str, Any]) -> None:
    assert openapi["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(openapi).validate()


def test_every_routed_rpc_appears_once_with_the_verb_and_path_of_its_contract(
    openapi: dict[str, Any],
) -> None:
    rules = {}
    for file in FileDescriptorSet.FromString(descriptors().read_bytes()).file:
        for service in file.service:
            for method in service.method:
                rules[f"{file.package}.{service.name}.{method.name}"] = method.options.Extensions[
                    annotations_pb2.http
                ]
    declared = []
    for rpc in RPCS:
        verb = rules[rpc.selector].WhichOneof("pattern")
        declared.append((verb, getattr(rules[rpc.selector], verb), rpc.selector.removeprefix("meno.")))
    described = [(verb, path, operation["operationId"]) for verb, path, operation in every_operation(openapi)]
    assert sorted(described) == sorted(declared)


def test_rpcs_for_services_are_omitted(openapi: dict[str, Any]) -> None:
    assert "WatchAccountEvents" not in json.dumps(openapi)


def test_operation_ids_are_unique(openapi: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in every_operation(openapi)]
    assert len(ids) == len(set(ids))


def test_every_reference_resolves(openapi: dict[str, Any]) -> None:
    references = set(every_reference(openapi))
    assert references
    for reference in references:
        node: Any = openapi
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_every_path_variable_is_described(openapi: dict[str, Any]) -> None:
    for _, path, operation in every_operation(openapi):
        in_path = [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]
        assert in_path == re.findall(r"\{([a-z_]+)\}", path)


def test_every_operation_has_a_summary_and_its_callers(openapi: dict[str, Any]) -> None:
    for _, _, operation in every_operation(openapi):
        assert operation["summary"]
        assert "**Callers:**" in operation["description"].split("\n\n")[-1]
        assert operation["x-meno-access"]


def test_the_document_is_the_same_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    here = hashlib.sha256(json.dumps(document(descriptors())).encode()).hexdigest()
    assert digests == {here}


def test_only_server_streams_are_event_streams(operations: dict[str, dict[str, Any]]) -> None:
    for rpc in RPCS:
        content = operations[rpc.selector.removeprefix("meno.")]["responses"]["200"]["content"]
        assert ([*content] == ["text/event-stream"]) == rpc.server_streaming, rpc.selector


def test_a_stream_describes_each_event(operations: dict[str, dict[str, Any]]) -> None:
    answer = operations["chat.v1.ChatService.Ask"]["responses"]["200"]
    assert answer["content"]["text/event-stream"]["schema"] == {
        "$ref": "#/components/schemas/meno.chat.v1.AnswerStep"
    }
    assert "each event is one AnswerStep" in answer["description"]


def test_public_operations_need_no_token_and_all_others_do(
    openapi: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    assert openapi["security"] == [{"accessToken": []}]
    public = {name for name, operation in operations.items() if operation.get("security") == []}
    assert public == {rpc.selector.removeprefix("meno.") for rpc in RPCS if rpc.public}
    assert "identity.v1.AuthService.SignIn" in public


def test_grants_are_described_in_words_and_as_data(operations: dict[str, dict[str, Any]]) -> None:
    operation = operations["content.v1.ContentService.PublishContent"]
    assert operation["x-meno-access"] == [{"member_of": "class_id", "at_least": "TEACHER"}]
    assert operation["description"].endswith(
        "**Callers:** active members of the class in `class_id` with at least the role TEACHER."
    )
    operation = operations["content.v1.ContentService.GetDraft"]
    assert operation["x-meno-access"] == [{"member_of": "class_id", "at_least": "TEACHER", "archived": True}]
    assert operation["description"].endswith("with at least the role TEACHER, even if the class is archived.")


def test_a_rate_limit_is_described(operations: dict[str, dict[str, Any]]) -> None:
    assert "20 calls a minute for each user" in operations["chat.v1.ChatService.Ask"]["description"]


def test_required_fields_and_bounds_of_a_body(operations: dict[str, dict[str, Any]]) -> None:
    schema = body_of(operations["identity.v1.AuthService.SignUp"])
    assert schema["required"] == ["password", "displayName"]
    password, email, role = (schema["properties"][name] for name in ("password", "email", "role"))
    assert (password["minLength"], password["maxLength"]) == (15, 1000)
    assert (email["format"], email["maxLength"]) == ("email", 200)
    assert role["$ref"] == "#/components/schemas/meno.access.v1.GlobalRole"
    assert role["not"] == {"enum": ["GLOBAL_ROLE_UNASSIGNED", "GLOBAL_ROLE_ADMIN"]}
    assert "at least one of login_name, email and phone must be set" in schema["description"]


def test_fields_of_the_path_are_not_in_the_body(operations: dict[str, dict[str, Any]]) -> None:
    schema = body_of(operations["session.v1.EventService.AppendEvents"])
    assert [*schema["properties"]] == ["events", "requestId"]
    events = schema["properties"]["events"]
    assert (events["minItems"], events["maxItems"]) == (1, 100)


def test_a_field_that_identifies_the_caller_accepts_me(operations: dict[str, dict[str, Any]]) -> None:
    [user, session] = operations["session.v1.SessionService.GetSession"]["parameters"]
    assert user["schema"]["anyOf"] == [
        {"type": "string", "format": "uuid"},
        {"type": "string", "const": "me"},
    ]
    assert session["schema"] == {"type": "string", "format": "uuid"}


def test_query_parameters_have_json_names_and_bounds(operations: dict[str, dict[str, Any]]) -> None:
    parameters = parameters_of(operations["session.v1.SessionService.ListSessions"])
    assert {"user_id", "pageSize", "pageToken"} <= parameters.keys()
    assert parameters["pageSize"]["schema"]["minimum"] == 0
    assert parameters["pageToken"]["schema"]["maxLength"] == 1000
    assert "required" not in parameters["pageSize"]


def test_64_bit_integers_are_strings(openapi: dict[str, Any], operations: dict[str, dict[str, Any]]) -> None:
    after = parameters_of(operations["session.v1.EventService.WatchEvents"])["afterSequence"]["schema"]
    assert (after["type"], after["pattern"]) == ("string", "^[0-9]+$")
    session = openapi["components"]["schemas"]["meno.session.v1.Session"]["properties"]
    assert session["stateVersion"]["type"] == "string"
    assert session["phase"]["readOnly"] is True


def test_an_uploaded_file_is_the_body_and_its_fields_are_query_parameters(
    operations: dict[str, dict[str, Any]],
) -> None:
    upload = operations["content.v1.MaterialService.UploadMaterial"]
    assert [*upload["requestBody"]["content"]] == ["application/octet-stream"]
    parameters = parameters_of(upload)
    assert [*parameters] == ["class_id", "title", "fileName", "requestId"]
    assert parameters["fileName"]["required"] is True


def test_the_reasons_in_a_comment_are_documented(operations: dict[str, dict[str, Any]]) -> None:
    responses = operations["identity.v1.UserService.UpdateUser"]["responses"]
    assert [*responses] == ["200", "404", "409", "default"]
    assert "`USER_NOT_FOUND` (NOT_FOUND): The user does not exist." in responses["404"]["description"]
    example = responses["409"]["content"]["application/json"]["examples"]["ETAG_MISMATCH"]["value"]
    assert (example["code"], example["details"][0]["reason"]) == (10, "ETAG_MISMATCH")


def test_comments_name_only_reasons_that_are_declared(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        text = f"{operation['summary']}. {operation['description']}"
        _, _, errors = text.partition("Errors:")
        named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", errors.partition("**")[0]))
        documented = {
            reason
            for status, response in operation["responses"].items()
            if status not in ("200", "default")
            for reason in response["content"]["application/json"]["examples"]
        }
        assert named == documented, name


def test_enumerations_document_each_value(openapi: dict[str, Any]) -> None:
    phase = openapi["components"]["schemas"]["meno.session.v1.SessionPhase"]
    assert phase["enum"][1] == "SESSION_PHASE_INTAKE"
    assert "- `SESSION_PHASE_INTAKE`: The goal of the learner is determined." in phase["description"]


def test_every_example_body_is_valid() -> None:
    described, contracts = document(descriptors()), Contracts(descriptors())
    checked = 0
    for rpc in routed_rpcs(descriptors()):
        method = contracts.method(rpc)
        for binding in bindings(method):
            operation = described["paths"][binding.path][binding.verb]
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" not in content:
                continue
            example = content["application/json"]["example"]
            body = example if binding.body == "*" else {binding.body: example}
            variables = dict.fromkeys(binding.variables, "018f0000-0000-7000-8000-000000000001")
            message = ParseDict({**body, **variables}, GetMessageClass(method.input_type)())
            protovalidate.validate(message)
            checked += 1
    assert checked > 40


def test_the_sign_in_is_documented_first() -> None:
    assert document(descriptors())["tags"][0]["name"] == "identity.v1.AuthService"
