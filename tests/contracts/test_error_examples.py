"""Every error reason of the contracts has a JSON example, and the example is a valid error."""

import json
import re

import pytest
from google.rpc.code_pb2 import Code

from deploy.gateway.contracts import descriptors
from deploy.gateway.error_reasons import ErrorReason, error_reasons

REASONS = error_reasons(descriptors())


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: f"{reason.package}.{reason.name}")
def test_the_example_of_a_reason_has_its_code_and_metadata(reason: ErrorReason) -> None:
    description, found, example = reason.comment.partition("Example:")
    assert found, "the comment has no example"
    status = json.loads(example)
    [info] = status["details"]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (info["domain"], info["reason"]) == ("meno", reason.name)
    assert status["code"] == reason.code, Code.Name(reason.code)
    # A message that quotes a field error ends with that error.
    assert re.fullmatch(r".+\.|.*[a-z_\]]: must .+", status["message"]), "the message must be a sentence"
    documented = re.findall(r"`(\w+)`", description.partition("Metadata:")[2])
    assert set(info.get("metadata", {})) == set(documented)


def test_all_contexts_have_reasons() -> None:
    contexts = {"access", "identity", "content", "session", "chat"}
    assert {reason.package.split(".")[1] for reason in REASONS} == contexts
